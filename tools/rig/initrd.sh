#!/bin/sh
# initrd.sh PROVIDED INIT OUT MODULE...   makes the first file system of the rig: busybox, INIT, and modules in the order in which
# they are loaded.
set -eu
provided=$1
init=$2
out=$3
shift 3
release=$(ls "$provided/kernel/lib/modules")
modules=$provided/kernel/lib/modules/$release
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree/bin" "$tree/dev" "$tree/proc" "$tree/sys" "$tree/newroot" "$tree/modules"
cp "$provided/bin/busybox" "$tree/bin/busybox"
for name in $("$provided/bin/busybox" --list); do [ "$name" = busybox ] || ln -s busybox "$tree/bin/$name"; done

: > "$tree/modules/order"
add() {
  line=$(grep -E "/$(echo "$1" | sed 's/[-_]/[-_]/g')\.ko(\.xz)?:" "$modules/modules.dep" | head -n 1)
  if [ -z "$line" ]; then echo "rig: the kernel has no module $1" >&2; exit 1; fi
  # What a module needs stands behind it, the nearest first.
  for file in $(echo "${line#*:}" | tr ' ' '\n' | tac) ${line%%:*}; do
    name=$(basename "$file" .xz)
    grep -qx "$name" "$tree/modules/order" && continue
    case $file in
      *.xz) xz -dc "$modules/$file" > "$tree/modules/$name" ;;
      *) cp "$modules/$file" "$tree/modules/$name" ;;
    esac
    echo "$name" >> "$tree/modules/order"
  done
}
for module in "$@"; do add "$module"; done
cp "$init" "$tree/init"
chmod 0755 "$tree/init"
(cd "$tree" && find . | "$provided/bin/busybox" cpio -o -H newc 2>/dev/null | gzip -1 > "$out")
