/** The name of the port that libvirt gives the guest agent. */
const agentPort = 'org.qemu.guest_agent.0'

/** busybox' init: first rc to its end, then these, each restarted when it ends. */
const inittab = `::sysinit:/etc/rc
::respawn:/etc/watch-nics
::respawn:/etc/agent
::respawn:/etc/power-button
::respawn:-/bin/sh
::ctrlaltdel:/sbin/reboot
`

const rc = `#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /run /tmp
mount -t devpts devpts /dev/pts
hostname demo-guest
ip link set lo up
while read -r module; do insmod "/lib/modules/$module"; done < /etc/modules
/etc/raise-all
echo "demo-guest is up"
`

/** One folder per configured interface, so that a repeated request has no effect. */
const nic = `#!/bin/sh
# nic add|remove NAME
state=/run/nic/$2
case $1 in
add)
  [ "$2" != lo ] && mkdir -p /run/nic && mkdir "$state" 2>/dev/null || exit 0
  ip link set "$2" up
  /etc/cable "$2" "$state" &
  # In the foreground of this process, which is not waited for; asks again every few seconds until a server answers.
  for option in mtu search staticroutes ntpsrv tftp bootfile 240; do set -- "$@" -O "$option"; done
  nic=$2
  shift 2
  exec udhcpc -f -i "$nic" -p "$state/pid" -s /etc/lease "$@" -t 4 -T 1 -A 8 >/dev/null 2>&1
  ;;
remove)
  [ -f "$state/pid" ] && kill "$(cat "$state/pid")"
  rm -rf "$state"
  ;;
esac
`

/** Requests an address again after every link-up: the network may be another one. */
const cable = `#!/bin/sh
count=/sys/class/net/$1/carrier_up_count
read -r last < "$count"
while sleep 1 && [ -d "$2" ] && read -r now < "$count"; do
  [ "$now" = "$last" ] || kill -USR1 "$(cat "$2/pid")"
  last=$now
done 2>/dev/null
`

const raiseAll = `#!/bin/sh
for path in /sys/class/net/*; do /etc/nic add "\${path##*/}" & done
`

/** The kernel reports added and removed cards; the second scan is for those from before the listener started. */
const watchNics = `#!/bin/sh
(sleep 1; exec /etc/raise-all) &
exec uevent /etc/uevent
`

const uevent = `#!/bin/sh
[ "$SUBSYSTEM" = net ] || exit 0
case $ACTION in
add) /etc/nic add "$INTERFACE" & ;;
# Waited for: the next card may get the same name, and be taken for one that is raised already.
remove) /etc/nic remove "$INTERFACE" ;;
esac
`

/**
 * Called by udhcpc. Each card's routes get their own metric, so that the first card wins and none is refused. Its options
 * are kept in a file.
 */
const lease = `#!/bin/sh
metric=$((100 + $(cat "/sys/class/net/$interface/ifindex")))
case $1 in
deconfig)
  ip -4 addr flush dev "$interface"
  ;;
bound | renew)
  case "$(ip -4 -o addr show dev "$interface")" in
  *"inet $ip/"*) ;;
  *)
    ip -4 addr flush dev "$interface"
    ip addr add "$ip/\${mask:-24}" dev "$interface"
    ;;
  esac
  [ -z "$mtu" ] || ip link set "$interface" mtu "$mtu"
  # With classless routes the client ignores the router option (RFC 3442).
  [ -n "$staticroutes" ] || [ -z "$router" ] || staticroutes="0.0.0.0/0 \${router%% *}"
  set -- $staticroutes
  while [ -n "$2" ]; do
    via=
    if [ "$2" != 0.0.0.0 ]; then
      # A router outside the own subnet is reached through this card.
      ip route add "$2" dev "$interface" metric "$metric" 2>/dev/null
      via="via $2"
    fi
    ip route add "$1" $via dev "$interface" metric "$metric"
    shift 2
  done
  [ -z "$dns" ] || {
    search=\${search:-$domain}
    [ -z "$search" ] || echo "search $search"
    for server in $dns; do echo "nameserver $server"; done
  } > /etc/resolv.conf
  env > "/run/nic/$interface/lease"
  ;;
esac
`

const agent = `#!/bin/sh
while :; do
  for name in /sys/class/virtio-ports/*/name; do
    [ "$(cat "$name" 2>/dev/null)" = ${agentPort} ] || continue
    port=\${name%/name}
    mkdir -p /dev/virtio-ports
    ln -sf "../\${port##*/}" /dev/virtio-ports/${agentPort}
    exec qemu-ga -m virtio-serial -p /dev/virtio-ports/${agentPort} -t /run -f /run/qemu-ga.pid
  done
  sleep 1
done
`

const powerButton = `#!/bin/sh
while [ ! -e /dev/input/event0 ]; do sleep 2; done
exec acpid -f -l /dev/null
`

/** There are no services to stop, so it goes to the kernel directly; asking init would only take longer. */
const stop = (how: 'poweroff' | 'reboot' | 'halt') => `#!/bin/sh
sync
exec /bin/busybox ${how} -f
`

/** Handles the guest agent's commands: shutdown -h -P|-H +0, shutdown -r +0. */
const shutdown = `#!/bin/sh
how=poweroff
for option; do
  case $option in
  -r) how=reboot ;;
  -H) how=halt ;;
  esac
done
exec /sbin/$how
`

/** Our own files of the demo guest, all executable but the first, by path. */
export const guestFiles: Readonly<Record<string, string>> = {
  'etc/inittab': inittab,
  'etc/rc': rc,
  'etc/nic': nic,
  'etc/cable': cable,
  'etc/raise-all': raiseAll,
  'etc/watch-nics': watchNics,
  'etc/uevent': uevent,
  'etc/lease': lease,
  'etc/agent': agent,
  'etc/power-button': powerButton,
  'etc/acpi/PWRF/00000080': stop('poweroff'),
  'bin/shutdown': shutdown,
  'bin/poweroff': stop('poweroff'),
  'bin/reboot': stop('reboot'),
  'bin/halt': stop('halt'),
}
