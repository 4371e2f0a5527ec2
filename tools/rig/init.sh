#!/bin/sh
# The first program of the rig: the root of the machine that started it, read-only below a layer in memory, with other modules, the
# checkout in /repo, and /job to work by.
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
while read -r module; do insmod "/modules/$module" || echo "rig: no $module"; done < /modules/order
share="-t 9p -o trans=virtio,version=9p2000.L,msize=512000"
mkdir -p /lower /over
mount $share,ro,cache=loose root /lower || exec sh
mount -t tmpfs tmpfs /over
mkdir /over/up /over/work
mount -t overlay -o lowerdir=/lower,upperdir=/over/up,workdir=/over/work overlay /newroot || exec sh
cd /newroot || exec sh
mkdir -p proc sys dev run tmp job repo usr/lib/modules
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t devtmpfs dev dev
mkdir -p dev/pts dev/shm
mount -t devpts devpts dev/pts
mount -t tmpfs shm dev/shm
mount -t tmpfs run run
mount -t tmpfs tmp tmp
chmod 1777 tmp
mkdir -p run/lock sys/fs/cgroup
mount -t cgroup2 cgroup sys/fs/cgroup
mount $share,ro,cache=loose modules usr/lib/modules
mount $share,ro,cache=loose repo repo
mount $share,cache=none job job
cp /bin/busybox usr/sbin/modprobe
cd /
exec switch_root /newroot /job/work.sh
