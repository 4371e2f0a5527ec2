#!/bin/sh
# Builds the Debian guest of the tests into the file that it is given: a disk image with cloud-init, qemu-guest-agent, networkd and
# sshd, which boots by BIOS and by UEFI. It needs root, and no loop device. The image is kept under a digest of this folder and of the
# kernel's version, and is built again when either changes.   build.sh  prints the path of the image.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
say() { echo "distro: $*" >&2; }

suite=bookworm
kernel=linux-image-amd64
tools="mmdebstrap qemu-utils dosfstools mtools syslinux syslinux-common e2fsprogs zstd"

install() {
  missing=""
  for package in $tools; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
  done
  if [ -n "$missing" ]; then
    say "installing Debian packages:$missing"
    # shellcheck disable=SC2086
    { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing; } >&2
  fi
}

version=$(apt-cache policy $kernel 2>/dev/null | awk '/Candidate:/ { print $2 }')
if [ -z "$version" ]; then apt-get update -q >&2; version=$(apt-cache policy $kernel | awk '/Candidate:/ { print $2 }'); fi
digest=$({ echo "$suite $version"; cat "$here"/*.sh; } | sha256sum | cut -c1-16)
folder=${XDG_CACHE_HOME:-$HOME/.cache}/patchbay/distro
image=$folder/$digest.qcow2
if [ -s "$image" ]; then echo "$image"; exit 0; fi

install
mkdir -p "$folder"
# One build at a time, whoever wants it.
exec 9> "$folder/lock"
flock 9
if [ -s "$image" ]; then echo "$image"; exit 0; fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
say "building the Debian guest, once, which takes about two minutes"

# The sources of this machine, for the guest's suite.
list=$work/sources.list
origin=$(apt-cache policy base-files | awk '/^ +[0-9]+ http/ { print $2; exit }')
security=$(apt-cache policy | awk '/-security\/main/ { print $2; exit }')
[ -n "$origin" ] || { say "apt has no source of Debian's packages"; exit 1; }
echo "deb $origin $suite main" > "$list"
[ -z "$security" ] || echo "deb $security $suite-security main" >> "$list"

base=dpkg,libc-bin,base-files,base-passwd,bash,coreutils,dash,debianutils,diffutils,findutils,grep,gzip,hostname,init-system-helpers,login,mawk,ncurses-base,passwd,sed,sysvinit-utils,tar,util-linux,mount,e2fsprogs
own=systemd-sysv,udev,dbus,$kernel,initramfs-tools,zstd,cloud-init,cloud-guest-utils,qemu-guest-agent,openssh-server,iproute2,iputils-ping,sudo,busybox,kmod,netbase
exclude() { printf -- '--dpkgopt=path-exclude=/usr/share/%s/* ' man locale doc info; }
# shellcheck disable=SC2046
if ! mmdebstrap --quiet --mode=root --variant=custom --include=$base,$own $(exclude) \
  --aptopt='APT::Install-Recommends "false"' \
  --setup-hook='mkdir -p "$1/etc/initramfs-tools/conf.d" && printf "MODULES=list\nCOMPRESS=zstd\nCOMPRESSLEVEL=1\nRESUME=none\n" > "$1/etc/initramfs-tools/conf.d/guest"' \
  --customize-hook="sh $here/customize.sh \"\$1\"" \
  $suite "$work/rootfs.tar" "$list" > "$work/log" 2>&1
then
  tail -n 20 "$work/log" >&2
  say "the root file system could not be made"
  exit 1
fi
mkdir "$work/rootfs"
tar xpf "$work/rootfs.tar" -C "$work/rootfs" --numeric-owner
rm "$work/rootfs.tar"
sh "$here/slim.sh" "$work/rootfs" "$work"
sh "$here/assemble.sh" "$work/rootfs" "$work"
mv "$work/disk.qcow2" "$image.new"
mv "$image.new" "$image"
say "built $(du -m "$image" | cut -f1) MB"
echo "$image"
