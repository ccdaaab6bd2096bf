#!/bin/sh
# Runs in new mount, UTS and IPC namespaces: a Debian of its own in memory becomes the root, then the holder runs.
# Arguments: a directory with the system (debootstrap's), a scratch directory, the Python to use, then the directories
# of this machine that the agent needs inside.
set -eu
base=$1 scratch=$2 python=$3
shift 3

mount -n --make-rprivate /
mkdir -p "$scratch/root"
mount -n -t tmpfs -o mode=755,size=6g recorded-host "$scratch/root"
cp -a --one-file-system "$base/." "$scratch/root/"
cd "$scratch/root"
for directory in "$@"; do
  mkdir -p "./$directory"
  mount -n --rbind "$directory" "./$directory"
done
mount -n --rbind /proc proc
mount -n --rbind -o ro /sys sys
mount -n -t tmpfs -o mode=755 recorded-host dev
for node in null zero full random urandom tty; do
  : >"dev/$node"
  mount -n --bind "/dev/$node" "dev/$node"
done
mkdir dev/pts dev/shm
mount -n -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -n -t tmpfs -o mode=1777 recorded-host dev/shm
ln -s /proc/self/fd dev/fd
for stream in stdin:0 stdout:1 stderr:2; do ln -s "/proc/self/fd/${stream#*:}" "dev/${stream%:*}"; done
mount -n -t tmpfs -o mode=755 recorded-host run
# As on a host that systemd runs; systemctl finds that it cannot reach it and says so.
mkdir -p run/lock run/sshd run/systemd/system run/user
: >run/utmp
chgrp 43 run/utmp
chmod 664 run/utmp

cp -L /etc/resolv.conf etc/resolv.conf
hostname web-1
echo web-1 >etc/hostname
printf '127.0.0.1 localhost\n127.0.1.1 web-1\n' >etc/hosts
mkdir -p .old
pivot_root . .old
umount -l /.old
rmdir /.old
# Only what a session sees of the recorder's own files.
exec "$python" -I "$HOLDER"
