#!/bin/sh
# Fetches what the rig is made of, without installing anything: QEMU of Debian 13, whose emulated igb cards have virtual functions
# that work, a kernel of Debian's with all its modules, and a busybox for the first program in it. It is kept under the versions of
# the packages.   provide.sh  prints the folder, which has qemu/, kernel/ and bin/busybox.
set -eu
say() { echo "rig: $*" >&2; }

suite=trixie
kernel=linux-image-amd64
version_of() { apt-cache policy "$1" 2>/dev/null | awk '/Candidate:/ { print $2 }'; }

version=$(version_of $kernel)
if [ -z "$version" ]; then apt-get update -q >&2; version=$(version_of $kernel); fi
cache=${XDG_CACHE_HOME:-$HOME/.cache}/patchbay/rig
folder=$cache/$(printf '%s %s' "$version" "$(sha256sum < "$0")" | sha256sum | cut -c1-16)
if [ -e "$folder/.complete" ]; then echo "$folder"; exit 0; fi
mkdir -p "$cache"
# One at a time, whoever wants it.
exec 9> "$cache/lock"
flock 9
if [ -e "$folder/.complete" ]; then echo "$folder"; exit 0; fi

work=$(mktemp -d "$cache/new-XXXXXX")
trap 'rm -rf "$work"' EXIT
say "fetching QEMU of $suite and a kernel, once"

# A state of apt's own in which nothing is installed, so that every package that QEMU needs is fetched.
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1)
[ -n "$mirror" ] || { say "apt has no source"; exit 1; }
mkdir -p "$work/apt/lists/partial" "$work/apt/archives/partial" "$work/qemu" "$work/kernel" "$work/bin"
: > "$work/apt/status"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" > "$work/apt/sources.list"
cat > "$work/apt/apt.conf" <<CONF
Dir::Etc::sourcelist "$work/apt/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::State::lists "$work/apt/lists";
Dir::State::status "$work/apt/status";
Dir::Cache::archives "$work/apt/archives";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
APT::Architecture "amd64";
CONF
if ! {
  APT_CONFIG=$work/apt/apt.conf apt-get update -q &&
    APT_CONFIG=$work/apt/apt.conf apt-get install -y -q --download-only --no-install-recommends qemu-system-x86 &&
    (cd "$work/apt" && apt-get download -q busybox-static "$(apt-cache depends $kernel | sed -n 's/.*Depends: //p' | head -n 1)")
} > "$work/log" 2>&1; then
  tail -n 5 "$work/log" >&2
  say "Debian's suite $suite cannot be had"
  exit 1
fi
for package in "$work"/apt/archives/*.deb; do dpkg-deb -x "$package" "$work/qemu"; done
dpkg-deb -x "$work"/apt/linux-image-*.deb "$work/kernel"
dpkg-deb -x "$work"/apt/busybox-static_*.deb "$work/apt"
mv "$(find "$work/apt" -path '*bin/busybox')" "$work/bin/busybox"
release=$(ls "$work/kernel/lib/modules")
"$work/bin/busybox" depmod -b "$work/kernel" "$release"
rm -rf "$work/apt" "$work/log"
: > "$work/.complete"
rm -rf "$folder"
mv "$work" "$folder"
echo "$folder"
