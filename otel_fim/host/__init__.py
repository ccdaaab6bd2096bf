"""What the host tells of its processes and users, for all components.

`procfs` reads /proc, `exits` the kernel's accounting of processes that have ended, `table` keeps the processes
and `sessions` the logins that records are joined with.
"""
