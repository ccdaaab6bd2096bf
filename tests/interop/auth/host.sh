#!/bin/sh
# Runs in a new mount and UTS namespace: covers what the tests change with private copies in memory, then waits.
# Arguments: a scratch directory, then the directories that must stay reachable below what is covered.
set -eu
scratch=$1
shift

cover() { # copy|empty DIRECTORY: puts a file system of its own over it
  [ -d "$2" ] || return 0
  mkdir -p "$scratch/new"
  mount -n -t tmpfs -o mode="$(stat -c %a "$2")" login-host "$scratch/new"
  chown --reference="$2" "$scratch/new"
  [ "$1" = empty ] || cp -a --one-file-system "$2/." "$scratch/new/"
  mount -n --move "$scratch/new" "$2"
}

mount -n --make-rprivate /
count=0
for keep in "$@"; do
  count=$((count + 1))
  mkdir -p "$scratch/keep/$count"
  mount -n --rbind "$keep" "$scratch/keep/$count"
done

# /dev: the nodes are the machine's; only what daemons put there (/dev/log) is the host's own.
mkdir -p "$scratch/dev"
mount -n -t tmpfs -o mode=755 login-host "$scratch/dev"
for node in null zero full random urandom tty; do
  : >"$scratch/dev/$node"
  mount -n --bind "/dev/$node" "$scratch/dev/$node"
done
mkdir "$scratch/dev/pts" "$scratch/dev/shm"
# Terminals of its own: the first is pts/0.
mount -n -t devpts -o newinstance,ptmxmode=666,mode=620,gid="$(getent group tty | cut -d: -f3)" devpts "$scratch/dev/pts"
ln -s pts/ptmx "$scratch/dev/ptmx"
mount -n -t tmpfs -o mode=1777 login-host "$scratch/dev/shm"
ln -s /proc/self/fd "$scratch/dev/fd"
for stream in stdin:0 stdout:1 stderr:2; do
  ln -s "/proc/self/fd/${stream#*:}" "$scratch/dev/${stream%:*}"
done
mount -n --move "$scratch/dev" /dev

for directory in /etc /var/spool; do cover copy "$directory"; done
for directory in /var/log /var/mail /var/lib/sudo /home /root /run; do cover empty "$directory"; done

count=0
for keep in "$@"; do
  count=$((count + 1))
  [ -e "$keep" ] || { mkdir -p "$keep" && mount -n --rbind "$scratch/keep/$count" "$keep"; }
done

hostname host
echo host >/etc/hostname
printf '127.0.0.1 localhost\n127.0.1.1 host\n' >/etc/hosts
mkdir -p /run/lock /run/sshd /run/systemd
: >/run/utmp
for file in wtmp btmp lastlog; do : >"/var/log/$file"; done
chgrp utmp /run/utmp /var/log/wtmp /var/log/btmp /var/log/lastlog
chmod 664 /run/utmp /var/log/wtmp /var/log/lastlog
chmod 660 /var/log/btmp
# Limits of this machine and mail to its administrator are no part of a login.
rm -rf /etc/security/limits.d
[ ! -e /etc/security/limits.conf ] || : >/etc/security/limits.conf
[ ! -d /etc/sudoers.d ] || {
  echo 'Defaults !mail_badpass, !mail_no_user' >/etc/sudoers.d/login-host
  chmod 440 /etc/sudoers.d/login-host
}
# PAM's delay after a wrong password is for people.
sed -i '/pam_unix\.so/s/$/ nodelay/' /etc/pam.d/common-auth

echo ready
exec cat >/dev/null
