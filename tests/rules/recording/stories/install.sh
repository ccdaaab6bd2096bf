# An administrator installs software that brings services, users, cron jobs, PAM profiles and kernel hooks.
sudo apt-get update
sudo DEBIAN_FRONTEND=noninteractive apt-get install -y nginx postfix fail2ban redis-server at ntpsec \
  docker.io libpam-pwquality cryptsetup-initramfs certbot php-fpm mariadb-server
sudo nginx -t
apt-cache policy nginx
dpkg -l nginx | tail -1
dpkg -L at | head
