# Updates by hand and by night, packages that go, and what cron does every day.
sudo apt-get update
sudo DEBIAN_FRONTEND=noninteractive apt-get dist-upgrade -y
sudo unattended-upgrade --dry-run
sudo DEBIAN_FRONTEND=noninteractive apt-get remove -y redis-server fail2ban
sudo DEBIAN_FRONTEND=noninteractive apt-get purge -y postfix at docker.io
sudo DEBIAN_FRONTEND=noninteractive apt-get autoremove -y --purge
sudo DEBIAN_FRONTEND=noninteractive apt-get install -y --reinstall cron
sudo apt-get clean
