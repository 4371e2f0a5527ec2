# What the guest of the tests is, inside its root file system $1, before its initramfs is made.
set -eu
root=$1

# With sr_mod and isofs in the initramfs cloud-init's generator sees a CD-ROM; without them it switches cloud-init off.
printf '%s\n' virtio_pci virtio_blk virtio_scsi sd_mod sr_mod ahci ext4 isofs autofs4 > "$root/etc/initramfs-tools/modules"
echo 'LABEL=root / ext4 defaults,noatime,x-systemd.growfs 0 0' > "$root/etc/fstab"
echo debian > "$root/etc/hostname"
: > "$root/etc/machine-id"
rm -f "$root"/etc/ssh/ssh_host_* "$root/var/lib/dbus/machine-id"

# cloud-init writes networkd's files for the cards it is told of; every other card, plugged ones too, asks DHCP.
mkdir -p "$root/etc/systemd/network" "$root/etc/cloud/cloud.cfg.d"
printf '[Match]\nName=en* eth*\n[Network]\nDHCP=yes\nLinkLocalAddressing=ipv6\n[DHCPv4]\nUseMTU=yes\n' > "$root/etc/systemd/network/90-any.network"
cat > "$root/etc/cloud/cloud.cfg.d/90-guest.cfg" <<'CFG'
datasource_list: [NoCloud, ConfigDrive, None]
datasource: {NoCloud: {fs_label: cidata}}
system_info: {network: {renderers: [networkd], activators: [networkd]}, default_user: {name: debian, lock_passwd: true, gecos: Debian, groups: [sudo], sudo: ["ALL=(ALL) NOPASSWD:ALL"], shell: /bin/bash}}
ssh_genkeytypes: [ed25519]
apt_preserve_sources_list: true
manage_etc_hosts: true
cloud_init_modules: [seed_random, bootcmd, write-files, growpart, resizefs, set_hostname, update_hostname, update_etc_hosts, users-groups, ssh]
cloud_config_modules: [set-passwords, runcmd, ssh-import-id]
cloud_final_modules: [scripts-user, final-message, power-state-change]
CFG
chroot "$root" systemctl enable systemd-networkd.service qemu-guest-agent.service serial-getty@ttyS0.service > /dev/null 2>&1 || true
chroot "$root" update-initramfs -u
