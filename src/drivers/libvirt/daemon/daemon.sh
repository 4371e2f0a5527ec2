# Turns this process into the libvirtd of one sandbox. Runs in the sandbox's network namespace and a mount namespace of
# its own:  daemon.sh DIR LIBVIRTD KVM-SOURCE [EXCHANGE PLACE]
# Every mount is seen by this libvirtd and its QEMU only and goes away with them.
set -eu
umask 022
dir=$1
libvirtd=$2
kvm=$3
exchange=${4-}
place=${5-}

# QEMU's user need not exist on the host.
mount --bind "$dir/etc/passwd" /etc/passwd
mount --bind "$dir/etc/group" /etc/group

# libvirt probes QEMU for ever when root can open /dev/kvm and QEMU's user cannot: it is there for both or for nobody.
if [ -e /dev/kvm ]; then
  if [ "$kvm" = yes ]; then
    # On a tmpfs, because the file system of DIR may not allow device nodes.
    mount -t tmpfs -o mode=0755,size=64k tmpfs "$dir/etc/dev"
    cp -a /dev/kvm "$dir/etc/dev/kvm"
    chown libvirt-qemu:libvirt-qemu "$dir/etc/dev/kvm"
    chmod 0600 "$dir/etc/dev/kvm"
    mount --bind "$dir/etc/dev/kvm" /dev/kvm
  else
    mount --bind "$dir/etc/no-kvm" /dev/kvm
  fi
fi

mount --bind "$dir/etc" /etc/libvirt
mount --bind "$dir/var" /var
# A guest that is to come here from another sandbox comes through a folder of that one, where both meet.
if [ -n "$exchange" ]; then
  mount --bind "$exchange" "$place"
fi
# With what was mounted below run.
mount --rbind "$dir/run" /run
# The interfaces of this network namespace instead of the host's.
mount -t sysfs sysfs /sys

exec "$libvirtd" --config /etc/libvirt/libvirtd.conf --pid-file /run/libvirtd.pid
