# Turns this process into the first one of a sandbox. Runs in the sandbox's network namespace and in mount and PID namespaces
# of its own:  sandbox.sh DIR UID yes|no(KVM) [MIGRATION_SOCKETS PLACE]
# It makes a root file system that holds the programs of the host, read-only, and of everything else what the sandbox needs;
# then it waits for ever. libvirtd and QEMU come in later and may end without it; when it ends, the kernel ends them all.
set -eu
umask 022
dir=$1
uid=$2
kvm=$3
migration_sockets=${4-}
place=${5-}

# Where QEMU reads and writes the guest's serial console.
for way in in out; do
  rm -f "$dir/run/console.$way"
  mkfifo -m 0600 "$dir/run/console.$way"
  chown "$uid:$uid" "$dir/run/console.$way"
done

mkdir -p "$dir/root"
mount -t tmpfs -o mode=0755,size=1m,nr_inodes=1k tmpfs "$dir/root"
cd "$dir/root"
mkdir usr etc etc/libvirt dev dev/net dev/shm proc sys run var old
mkdir -m 1777 tmp

mount --bind /usr usr
mount -o remount,bind,ro usr
for name in bin sbin lib lib32 lib64 libx32; do
  if [ -L "/$name" ]; then cp -a "/$name" "$name"
  elif [ -d "/$name" ]; then mkdir "$name"; mount --bind "/$name" "$name"; mount -o remount,bind,ro "$name"
  fi
done

mount --bind "$dir/etc" etc/libvirt
ln -s libvirt/passwd etc/passwd
ln -s libvirt/group etc/group
# libvirtd looks its own name up whenever a guest starts, moves or arrives. A name server it would wait for, for seconds.
printf 'passwd: files\ngroup: files\nhosts: files\n' > etc/nsswitch.conf
printf '127.0.0.1 localhost\n::1 localhost\n127.0.1.1 %s\n' "$(uname -n)" > etc/hosts
[ -e /etc/ld.so.cache ] && cp /etc/ld.so.cache etc/
# What makes the certificates of an emulated TPM.
for name in swtpm_setup.conf swtpm-localca.conf swtpm-localca.options; do
  if [ -e "/etc/$name" ]; then cp "/etc/$name" etc/; fi
done
if [ -d /etc/alternatives ]; then mkdir etc/alternatives; mount --bind /etc/alternatives etc/alternatives; fi

for name in null zero full random urandom net/tun vhost-net; do
  if [ -e "/dev/$name" ]; then cp -a "/dev/$name" "dev/$name"; fi
done
# Devices of the host that the guest gets; their files come here with them.
mkdir dev/vfio
mount -t tmpfs -o mode=0755,size=4k,nr_inodes=256 tmpfs dev/vfio
# libvirt probes QEMU for ever when root can open /dev/kvm and QEMU's user cannot: it is there for both or for nobody.
if [ "$kvm" = yes ] && [ -e /dev/kvm ]; then
  cp -a /dev/kvm dev/kvm
  chown "$uid:$uid" dev/kvm
  chmod 0600 dev/kvm
fi

mount -t proc -o nosuid,nodev,noexec proc proc
# The interfaces of this network namespace instead of the host's.
mount -t sysfs -o nosuid,nodev,noexec sysfs sys
mount --bind "$dir/var" var
mount --bind "$dir/var/tmp" tmp
# A guest that is to come here from another sandbox comes through a folder of that one, where both meet.
if [ -n "$migration_sockets" ]; then mount --bind "$migration_sockets" "$place"; fi
# With what was mounted below run.
mount --rbind "$dir/run" run

pivot_root . old
cd /
umount -l /old
rmdir /old
mount -o remount,ro /

# The last of the serial output is kept, half a MiB in each of two files, whoever else runs or does not: a guest cannot fill
# the disk, and nothing it says is missed.
(
  umask 077
  exec 3<> /run/console.out
  while :; do
    stdbuf -o0 head -c 524288 <&3 > /run/console.log || sleep 1
    mv -f /run/console.log /run/console.log.1 || sleep 1
  done
) < /dev/null > /dev/null 2>&1 &

# Processes that lose their parent are this one's to bury.
exec sh -c 'while :; do sleep 2147483647 & wait; done' < /dev/null > /dev/null 2>&1
