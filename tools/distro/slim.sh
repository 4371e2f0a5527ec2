# Makes the guest of the tests small and quick under emulation: settings and files that are left out, no program is changed but
# cloud-init's launcher, which skips package metadata. slim.sh ROOT WORK puts kernel and initramfs into WORK.
set -eu
root=$1
work=$2
version=$(ls "$root/lib/modules")
modules=$root/usr/lib/modules/$version/kernel
cp "$root/boot/vmlinuz-$version" "$work/vmlinuz"
cp "$root/boot/initrd.img-$version" "$work/initrd.img"

cd "$root"
rm -rf boot/* vmlinuz* initrd.img* usr/share/i18n/locales usr/lib/udev/hwdb.d usr/lib/udev/hwdb.bin
for name in bash-completion lintian perl mime pixmaps zsh polkit-1 common-licenses; do rm -rf "usr/share/$name"; done
rm -rf usr/lib/x86_64-linux-gnu/perl usr/lib/x86_64-linux-gnu/libperl* usr/bin/perl usr/lib/x86_64-linux-gnu/gconv
rm -rf var/cache/* var/lib/apt/lists usr/sbin/dhclient
for name in test lib2to3 idlelib ensurepip pydoc_data unittest distutils; do rm -rf usr/lib/python3*/"$name"; done
rm -rf usr/lib/python3/dist-packages/jsonschema*

# The modules that a guest of Patchbay may load.
mkdir "$work/keep"
(
  cd "$modules"
  for part in drivers/block/virtio_blk drivers/scsi drivers/net/virtio_net drivers/net/net_failover net/core/failover \
    drivers/char/hw_random drivers/char/virtio_console drivers/char/tpm drivers/virtio drivers/ata fs/ext4 fs/jbd2 fs/mbcache fs/isofs \
    fs/autofs fs/fat fs/nls lib drivers/cdrom drivers/net/ethernet/intel/e1000 drivers/net/ethernet/intel/e1000e drivers/input drivers/hid \
    drivers/usb/core drivers/usb/host drivers/usb/common drivers/watchdog drivers/i2c drivers/ptp drivers/pps crypto arch/x86/crypto \
    net/ipv6 net/packet; do
    find "$part" "$part.ko" -name '*.ko' 2> /dev/null || true
  done | sort -u | xargs -r cp --parents -t "$work/keep"
)
rm -rf "$modules"
mv "$work/keep" "$modules"
chroot "$root" depmod "$version"

# Units, generators and rules of hardware and habits that the guest does not have.
for unit in modprobe@configfs.service modprobe@dm_mod.service modprobe@fuse.service modprobe@loop.service \
  modprobe@efi_pstore.service modprobe@drm.service dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount \
  sys-kernel-tracing.mount sys-kernel-config.mount sys-fs-fuse-connections.mount proc-sys-fs-binfmt_misc.automount \
  proc-sys-fs-binfmt_misc.mount systemd-binfmt.service systemd-modules-load.service systemd-network-generator.service \
  systemd-random-seed.service systemd-sysusers.service systemd-update-utmp.service systemd-update-utmp-runlevel.service \
  systemd-journal-flush.service systemd-pstore.service systemd-machine-id-commit.service kmod-static-nodes.service \
  systemd-hwdb-update.service systemd-journal-catalog-update.service ldconfig.service systemd-ask-password-console.path \
  systemd-ask-password-wall.path systemd-repart.service systemd-firstboot.service systemd-boot-system-token.service \
  systemd-sysext.service systemd-initctl.socket systemd-journald-audit.socket user@.service cloud-init-hotplugd.socket \
  remote-fs.target getty-static.service systemd-tmpfiles-clean.timer e2scrub_all.timer e2scrub_reap.service dpkg-db-backup.timer \
  systemd-quotacheck.service systemd-fsck-root.service systemd-sysctl.service systemd-networkd-wait-online.service \
  apt-daily.timer apt-daily-upgrade.timer fstrim.timer systemd-timesyncd.service; do
  ln -sf /dev/null "etc/systemd/system/$unit"
done
ln -sf /lib/systemd/system/multi-user.target etc/systemd/system/default.target
for name in cryptsetup integritysetup veritysetup gpt-auto hibernate-resume rc-local run sysv system-update bless-boot debug; do
  rm -f "usr/lib/systemd/system-generators/systemd-$name-generator"
done
cd usr/lib/udev/rules.d
for rule in *.rules; do
  case $rule in
    50-udev-default* | 60-block* | 60-persistent-storage.rules | 60-serial* | 60-cdrom* | 73-special* | 75-net* | 80-drivers*) ;;
    80-net-setup* | 99-systemd* | 70-uaccess* | 71-seat* | 60-input* | 64-* | 90-* | *cloud* | *qemu*) ;;
    *) rm "$rule" ;;
  esac
done
cd "$root"
printf '#!/usr/bin/python3\nimport sys\nfrom cloudinit.cmd.main import main\nsys.exit(main())\n' > usr/bin/cloud-init
