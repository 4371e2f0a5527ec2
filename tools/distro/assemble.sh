# Makes a disk of a root file system: an MBR, a FAT partition with kernel, initramfs and loaders for BIOS (syslinux) and UEFI
# (systemd-boot, if it is there), and the root.   assemble.sh ROOT WORK  writes WORK/disk.qcow2.
set -eu
root=$1
cd "$2"
boot_mb=48

root_mb=$(($(du -sm "$root" | cut -f1) * 115 / 100 + 96))
truncate -s "${root_mb}M" root.ext4
mke2fs -q -t ext4 -L root -O '^has_journal,^metadata_csum,^64bit' -E lazy_itable_init=1,root_owner=0:0 -m 0 -d "$root" root.ext4

truncate -s "${boot_mb}M" boot.fat
mkfs.vfat -F 16 -n BOOT boot.fat > /dev/null
options="root=LABEL=root ro mitigations=off audit=0 apparmor=0 no_timer_check console=tty0 console=ttyS0,115200 net.ifnames=1 quiet loglevel=4"
printf 'DEFAULT l\nPROMPT 0\nTIMEOUT 0\nSERIAL 0 115200\nLABEL l\n KERNEL /vmlinuz\n INITRD /initrd.img\n APPEND %s\n' "$options" > syslinux.cfg
printf 'default l\ntimeout 0\n' > loader.conf
printf 'title Debian\nlinux /vmlinuz\ninitrd /initrd.img\noptions %s\n' "$options" > l.conf
export MTOOLS_SKIP_CHECK=1
mmd -i boot.fat ::/EFI ::/EFI/BOOT ::/loader ::/loader/entries
mcopy -i boot.fat vmlinuz initrd.img syslinux.cfg ::/
mcopy -i boot.fat loader.conf ::/loader/
mcopy -i boot.fat l.conf ::/loader/entries/
# From Debian's package, which is not installed for it.
(apt-get download -q systemd-boot-efi && dpkg-deb -x ./systemd-boot-efi_*.deb efi) > efi.log 2>&1 || { cat efi.log >&2; exit 1; }
mcopy -i boot.fat efi/usr/lib/systemd/boot/efi/systemd-bootx64.efi ::/EFI/BOOT/BOOTX64.EFI
syslinux -i boot.fat

truncate -s "$((1 + boot_mb + root_mb + 1))M" disk.raw
# One entry of the partition table: flag, type, first sector, number of sectors, in octal bytes for printf.
le32() { printf '\\%03o\\%03o\\%03o\\%03o' $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) $(($1 >> 24 & 255)); }
entry() { printf '\\%03o\\376\\377\\377\\%03o\\376\\377\\377%s%s' "$1" "$2" "$(le32 "$3")" "$(le32 "$4")"; }
put() { dd of=disk.raw conv=notrunc,sparse bs="$1" seek="$2" status=none; }
dd if=/usr/lib/syslinux/mbr/mbr.bin of=disk.raw conv=notrunc bs=440 count=1 status=none
# shellcheck disable=SC2059
printf "$(entry 128 239 2048 $((boot_mb * 2048)))$(entry 0 131 $(((1 + boot_mb) * 2048)) $((root_mb * 2048)))" | dd of=disk.raw conv=notrunc bs=1 seek=446 status=none
printf '\125\252' | dd of=disk.raw conv=notrunc bs=1 seek=510 status=none
put 1M 1 < boot.fat
put 1M $((1 + boot_mb)) < root.ext4
qemu-img convert -f raw -O qcow2 disk.raw disk.qcow2
