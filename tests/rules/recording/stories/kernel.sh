# A kernel with its headers and hooks comes, another one goes.
sudo DEBIAN_FRONTEND=noninteractive apt-get install -y linux-headers-cloud-amd64 initramfs-tools
other=$(apt-cache search --names-only '^linux-image-6.1.0-[0-9]+-cloud-amd64$' | cut -d' ' -f1 | sort -r |
  while read -r package; do dpkg -s "$package" >/dev/null 2>&1 || { echo "$package"; break; }; done)
sudo DEBIAN_FRONTEND=noninteractive apt-get install -y "$other"
sudo update-initramfs -u
sudo DEBIAN_FRONTEND=noninteractive apt-get purge -y "$other"
uname -r
