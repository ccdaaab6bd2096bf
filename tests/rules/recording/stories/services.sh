# Starts the services that were installed, as their units do.
/usr/sbin/nginx
mkdir -p /run/redis /run/mysqld /run/php /run/fail2ban
chown redis:redis /run/redis; chown mysql:mysql /run/mysqld
su -s /bin/sh -c '/usr/bin/redis-server /etc/redis/redis.conf --daemonize yes' redis
(setpriv --reuid=mysql --regid=mysql --init-groups /usr/sbin/mariadbd >/dev/null 2>&1 &)
/usr/sbin/php-fpm8.2 --daemonize
/usr/sbin/postfix start
/usr/bin/fail2ban-client -x start
/usr/sbin/atd
sleep 5
