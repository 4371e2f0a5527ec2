import { bindings } from '#core/nic/bindings.ts'
import { linkNames, movedLinkName } from '#core/nic/names.ts'
import { isNetwork } from '#core/nic/nic.ts'
import type { Attachment } from '#core/sandbox/plan.ts'
import { mtuOf } from '#core/sandbox/wiring.ts'
import type { Link } from './links.ts'

/** The user of QEMU, which owns the taps. */
export type QemuUser = Readonly<{ uid: number }>

/** Gateway and guest addresses of a masqueraded guest's network: its first two addresses, as in KubeVirt. */
export function guestAddresses(cidr: string): { gateway: string; guest: string; prefix: number } {
  const [network = '', prefix = '24'] = cidr.split('/')
  return { gateway: plus(network, 1), guest: plus(network, 2), prefix: Number(prefix) }
}

/** Dotted netmask of a prefix length. */
export function netmask(prefix: number): string {
  return dotted(prefix === 0 ? 0 : (0xffffffff << (32 - prefix)) >>> 0)
}

/**
 * The `ip` commands that join an attachment's pod interface to the guest's tap, given the links that are there; a card on no
 * network has its tap on its bridge alone. Only missing
 * links are made, so that the commands can be repeated after a crash at any point.
 */
export function wiringCommands(attachment: Attachment, present: ReadonlyMap<string, Link>, user: QemuUser): string[] {
  const { links, mac } = attachment
  const { isOnNetwork } = bindings[attachment.binding]
  const pod = isNetwork(attachment.network) ? present.get(links.pod) : undefined
  const mtu = mtuOf(attachment, present) ?? 1500
  const bridge = present.get(links.bridge)
  const tap = present.get(links.tap)
  const queues = attachment.queues > 1 ? ' multi_queue' : ''
  const { gateway, prefix } = guestAddresses(attachment.guestCidr)
  const isJoined = isOnNetwork && isNetwork(attachment.network)
  return [
    ...(bridge ? [] : [`link add ${links.bridge} mtu ${mtu} type bridge forward_delay 0 stp_state 0 mcast_snooping 0`]),
    `link set ${links.bridge} mtu ${mtu} addrgenmode none`,
    // The guest has the address that CNI assigned, so the sandbox must not answer for it.
    ...(isJoined
      ? [
          `addr flush dev ${links.pod}`,
          // A plugin that got the guest's MAC has set it on this link, and the bridge would keep the guest's frames.
          ...(pod?.address === mac
            ? [`link set ${links.pod} down`, `link set ${links.pod} address ${otherMac(mac)}`]
            : []),
          `link set ${links.pod} master ${links.bridge}`,
          // The bridge must not learn the guest's MAC on this port from frames that a switch reflects. KubeVirt does the same.
          `link set ${links.pod} type bridge_slave learning off`,
        ]
      : []),
    `addr replace ${isOnNetwork ? `${dhcpAddress}/32` : `${gateway}/${prefix}`} dev ${links.bridge}`,
    ...(tap ? [] : [`tuntap add dev ${links.tap} mode tap user ${user.uid}${queues} vnet_hdr`]),
    `link set ${links.tap} mtu ${mtu} master ${links.bridge}`,
    `link set ${links.tap} up`,
    ...(isJoined ? [`link set ${links.pod} up`] : []),
    `link set ${links.bridge} up`,
  ]
}

/** Another unicast MAC, derived from the guest's. */
function otherMac(mac: string): string {
  const [first = '02', ...rest] = mac.split(':')
  const octet = ((Number.parseInt(first, 16) ^ 0x0c) | 0x02) & 0xfe
  return [octet.toString(16).padStart(2, '0'), ...rest].join(':')
}

/** The commands that take an attachment's pod interface off the guest's bridge. */
export function unwiringCommands({ links, network }: Attachment, present: ReadonlyMap<string, Link>): string[] {
  return isNetwork(network) && present.has(links.pod) ? [`link set ${links.pod} nomaster`] : []
}

/** Address of the DHCP server on the bridges of guests that are on the network themselves. */
export const dhcpAddress = '169.254.75.10'

/**
 * The command that adds the canonical name to the link of a rewired interface, unless another link has it: users find the link by
 * the name in the status, and CNI still uses the name under which it was added.
 */
export function namingCommand(
  { name, network, links }: Attachment,
  present: ReadonlyMap<string, Link>,
): string | undefined {
  const canonical = linkNames(name).pod
  const isMoved = isNetwork(network) && links.pod === movedLinkName(name, network)
  if (!isMoved || !present.has(links.pod) || present.has(canonical)) return undefined
  return `link property add dev ${links.pod} altname ${canonical}`
}

/** NAT between the pod address and a masqueraded guest, as an nftables script that replaces earlier rules. */
export function masqueradeRules(attachment: Attachment, podIp: string): string {
  const { links, ports } = attachment
  const { gateway, guest } = guestAddresses(attachment.guestCidr)
  const wanted = (['tcp', 'udp'] as const).flatMap((protocol) => {
    const list = ports
      .filter((one) => one.protocol === protocol)
      .map(({ port, end = port }) => (end === port ? `${port}` : `${port}-${end}`))
    return list.length ? [`${protocol} dport { ${list.join(', ')} } `] : []
  })
  const matches = wanted.length ? wanted : ['']
  return `table ip k6t
delete table ip k6t
table ip k6t {
  chain pre { type nat hook prerouting priority dstnat
${matches.map((match) => `    iifname "${links.pod}" ip daddr ${podIp} ${match}dnat to ${guest}`).join('\n')}
  }
  chain out { type nat hook output priority -100
${matches.map((match) => `    ip daddr { 127.0.0.1, ${podIp} } ${match}dnat to ${guest}`).join('\n')}
  }
  chain post { type nat hook postrouting priority srcnat
    oifname "${links.pod}" ip saddr ${guest} masquerade
    oifname "${links.bridge}" ip saddr 127.0.0.1 snat to ${gateway}
  }
}
`
}

function plus(address: string, add: number): string {
  const value = address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
  return dotted((value + add) >>> 0)
}

function dotted(value: number): string {
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.')
}
