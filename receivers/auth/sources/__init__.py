"""Where logins are told: the system's journal, text logs, wtmp/btmp/utmp and the kernel's audit."""
