import { isIP } from 'node:net'
import { Fault } from '#base/fault.ts'
import { bindings } from '#core/nic/bindings.ts'
import type { Attachment } from '#core/sandbox/plan.ts'
import { guestAddresses } from './wiring.ts'

/**
 * What one card may send, and what may reach the DHCP server behind it. It is enforced in the sandbox, on the bridge of the card:
 * all frames of the guest pass there, and no process in the sandbox may change it.
 */
export type CardFilter = Readonly<{
  /** The guest's tap, which names the filter, and the network's link on the same bridge. */
  tap: string
  pod: string
  mac: string
  /** The card's assigned addresses, IPv4 and IPv6; without any, its owner may choose any. */
  addresses: readonly string[]
  /** Whether it may send from any MAC and address, as routers and bonds have to. */
  isOpen: boolean
  /** Whether the bridge is connected to the network itself. */
  isBridged: boolean
}>

/** The filter of a card; `given` are the addresses that CNI assigned. @throws Fault Unavailable for an invalid address */
export function cardFilter(attachment: Attachment, given: readonly string[]): CardFilter {
  const strange = given.find((one) => !isIP(one))
  if (strange !== undefined)
    throw new Fault(
      'Unavailable',
      `network ${attachment.network} gave the address ${JSON.stringify(strange)}, which is none; see its IPAM plugin`,
    )
  const { links, mac, binding, guestCidr, isOpen = false, carried = [] } = attachment
  const isBridged = bindings[binding].isOnNetwork
  return {
    tap: links.tap,
    pod: links.pod,
    mac,
    // Packets from any other address would leave without translation.
    addresses: isBridged ? [...new Set([...given, ...carried])] : [guestAddresses(guestCidr).guest],
    isOpen,
    isBridged,
  }
}

/** The rules for frames from the guest; the policy of the chain accepts the rest. */
function guestRules({ mac, addresses, isOpen }: CardFilter): string[] {
  if (isOpen) return []
  const v4 = addresses.filter((one) => !one.includes(':'))
  const v6 = [...addresses.filter((one) => one.includes(':')), linkLocal(mac)]
  const own = [`ether saddr != ${mac} drop`]
  if (!addresses.length) return [...own, ...senderRules(mac)]
  // Receivers accept hardware type 6 for Ethernet too, and other lengths shift the compared fields.
  const arp = `arp htype 1 arp hlen 6 arp plen 4 arp saddr ether ${mac}`
  const targets = `@th,64,128 { ${v6.map(hexOf).join(', ')} }`
  return [
    ...own,
    'ether type { 8021q, 8021ad } drop',
    ...(v4.length
      ? [
          `${arp} arp saddr ip { ${v4.join(', ')} } accept`,
          // A probe whether another host has the address.
          `${arp} arp saddr ip 0.0.0.0 arp daddr ip { ${v4.join(', ')} } accept`,
        ]
      : []),
    // A guest is neither a DHCP server nor a router.
    'udp dport { 68, 546 } drop',
    'icmpv6 type { nd-router-advert, nd-redirect } drop',
    ...(v4.length ? [`ip saddr { ${v4.join(', ')} } accept`] : []),
    'ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept',
    `ip6 saddr :: icmpv6 type nd-neighbor-solicit ${targets} accept`,
    'ip6 saddr :: icmpv6 type { nd-router-solicit, mld-listener-report, mld2-listener-report } accept',
    `icmpv6 type nd-neighbor-advert ${targets.replace('{', '!= {')} drop`,
    `ip6 saddr { ${v6.join(', ')} } accept`,
    'drop',
  ]
}

/** ARP, also in a VLAN, where nftables does not match its fields by name: hardware type, lengths and sender by offset. */
function senderRules(mac: string): string[] {
  return [
    `meta protocol arp @nh,0,16 1 @nh,32,16 0x0604 @nh,64,48 0x${mac.replaceAll(':', '')} accept`,
    'meta protocol arp drop',
  ]
}

/** A bridged guest's network and the sandbox itself must not communicate: the DHCP server is for the guest only. */
function ownRules({ pod, isBridged }: CardFilter, side: 'iifname' | 'oifname'): string[] {
  return isBridged ? [`${side} "${pod}" drop`] : []
}

/** An nftables script that replaces a filter atomically. The filter is a table with the name of the tap. */
export function filterScript(filter: CardFilter): string {
  const { tap } = filter
  const chains = [
    { name: 'guest', hook: 'prerouting', rules: guestRules(filter).map((rule) => `iifname "${tap}" ${rule}`) },
    { name: 'heard', hook: 'input', rules: ownRules(filter, 'iifname') },
    { name: 'told', hook: 'output', rules: ownRules(filter, 'oifname') },
  ]
  const body = chains
    .map(
      ({ name, hook, rules }) =>
        `  chain ${name} { type filter hook ${hook} priority -300; policy accept;\n${rules.map((rule) => `    ${rule}\n`).join('')}  }\n`,
    )
    .join('')
  return `table bridge ${tap}\ndelete table bridge ${tap}\ntable bridge ${tap} {\n${body}}\n`
}

/** The link-local address that is derived from a MAC (RFC 4291, appendix A). */
export function linkLocal(mac: string): string {
  const [a = 0, b, c, d, e, f] = mac.split(':').map((part) => Number.parseInt(part, 16))
  const bytes = [a ^ 2, b!, c!, 0xff, 0xfe, d!, e!, f!]
  const groups = [0, 2, 4, 6].map((i) => (bytes[i]! * 256 + bytes[i + 1]!).toString(16))
  return `fe80::${groups.join(':')}`
}

/** An IPv6 address as one number, which is how nftables compares unnamed fields. */
function hexOf(address: string): string {
  const [head = '', tail] = address.split('::')
  const groups = (text: string) => (text ? text.split(':') : [])
  const [first, last] = [groups(head), groups(tail ?? '')]
  const zeros = tail === undefined ? 0 : 8 - first.length - last.length
  const all = [...first, ...Array<string>(zeros).fill('0'), ...last]
  return `0x${all.map((group) => group.padStart(4, '0')).join('')}`
}
