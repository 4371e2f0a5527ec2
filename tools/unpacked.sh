#!/bin/sh
# Fetches a package of Debian's without installing it: no service starts, and nothing outside the cache changes. It is kept under
# its version.   unpacked.sh PACKAGE  prints the folder that has its files.
set -eu
package=$1
say() { echo "$package: $*" >&2; }

version_of() { apt-cache policy "$package" 2>/dev/null | awk '/Candidate:/ && $2 != "(none)" { print $2 }'; }

[ -n "$(version_of)" ] || apt-get update -q >&2
version=$(version_of)
[ -n "$version" ] || { say "apt has no such package"; exit 1; }
cache=${XDG_CACHE_HOME:-$HOME/.cache}/patchbay/packages
if [ -d "$cache/$package-$version" ]; then echo "$cache/$package-$version"; exit 0; fi
mkdir -p "$cache"
# One at a time, whoever wants it.
exec 9> "$cache/$package.lock"
flock 9
if [ -d "$cache/$package-$version" ]; then echo "$cache/$package-$version"; exit 0; fi

work=$(mktemp -d "$cache/new-XXXXXX")
trap 'rm -rf "$work"' EXIT
say "fetching it, once"
fetch() { (cd "$work" && apt-get -q -o APT::Sandbox::User=root download "$package") > "$work/log" 2>&1; }
# What apt knows may be older than what the mirror has.
if ! fetch && ! { apt-get update -q >&2 && fetch; }; then
  tail -n 5 "$work/log" >&2
  say "it cannot be had from Debian's mirror"
  exit 1
fi
folder=$cache/$package-$(dpkg-deb -f "$work"/*.deb Version)
dpkg-deb -x "$work"/*.deb "$work/root"
rm -rf "$folder"
mv "$work/root" "$folder"
echo "$folder"
