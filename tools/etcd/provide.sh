#!/bin/sh
# Fetches Debian's etcd without installing it: no service starts, and nothing outside the cache changes. It is kept under the
# version of the package.   provide.sh  prints the path of the program.
set -eu
say() { echo "etcd: $*" >&2; }

version_of() { apt-cache policy etcd-server 2>/dev/null | awk '/Candidate:/ && $2 != "(none)" { print $2 }'; }

version=$(version_of)
if [ -z "$version" ]; then apt-get update -q >&2; version=$(version_of); fi
[ -n "$version" ] || { say "apt has no package etcd-server"; exit 1; }
cache=${XDG_CACHE_HOME:-$HOME/.cache}/patchbay/etcd
program=$cache/$version/usr/bin/etcd
if [ -x "$program" ]; then echo "$program"; exit 0; fi
mkdir -p "$cache"
# One at a time, whoever wants it.
exec 9> "$cache/lock"
flock 9
if [ -x "$program" ]; then echo "$program"; exit 0; fi

work=$(mktemp -d "$cache/new-XXXXXX")
trap 'rm -rf "$work"' EXIT
say "fetching etcd-server $version, once"
if ! (cd "$work" && apt-get download -q etcd-server) > "$work/log" 2>&1; then
  tail -n 5 "$work/log" >&2
  say "Debian's package etcd-server cannot be had"
  exit 1
fi
dpkg-deb -x "$work"/etcd-server_*.deb "$work/root"
rm -rf "${cache:?}/$version"
mv "$work/root" "$cache/$version"
echo "$program"
