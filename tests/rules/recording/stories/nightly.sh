# What cron and timers start at night, by the way they start it (run as root by the holder).
cd /
run-parts --report /etc/cron.hourly
run-parts --report /etc/cron.daily
run-parts --report /etc/cron.weekly
/usr/sbin/logrotate --force /etc/logrotate.conf
/usr/libexec/plocate/updatedb.plocate 2>/dev/null || /usr/sbin/updatedb.plocate
/usr/bin/mandb --quiet
/usr/lib/apt/apt.systemd.daily update
/usr/lib/apt/apt.systemd.daily install
/usr/bin/unattended-upgrade
/usr/bin/systemd-tmpfiles --clean
/usr/bin/systemd-sysusers
/usr/sbin/e2scrub_all -n
/usr/bin/certbot -q renew
/usr/lib/php/sessionclean
