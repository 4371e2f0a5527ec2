import { bindings } from '../nic/bindings.ts'
import { isNetwork } from '../nic/nic.ts'
import type { Attachment } from './plan.ts'

/**
 * A network link of the kernel. `hasCarrier` is unknown while the link is down; a tap has a carrier while a process has it open.
 */
export type Link = Readonly<{ ifname: string; mtu: number; master?: string; isUp: boolean; hasCarrier?: boolean }>

/** A link on the host that CNI made for an attachment, other than a bridge, and the bridge that it is a port of, if any. */
export type HostLink = Readonly<{ name: string; bridge?: string }>

/** An attachment that CNI has added, with its links on the host. */
export type Card = Readonly<{
  attachment: Attachment
  hostLinks: readonly HostLink[]
  /** Whether a DHCP server of the sandbox must serve it. */
  isServed: boolean
}>

/** The observed network of a sandbox, and of the host as far as the sandbox depends on it. */
export type ObservedWiring = Readonly<{
  /** Links by name, in the sandbox and on the host; undefined if they were not observed, so that they count as undamaged. */
  sandbox: ReadonlyMap<string, Link>
  host: ReadonlyMap<string, Link> | undefined
  /** The bridges of the sandbox with a running DHCP server. */
  served: ReadonlySet<string>
  /** Whether the rules of the packet filter are as wanted. */
  rules: Readonly<{ sandbox: boolean; host: boolean }>
}>

/** The MTU of Ethernet. */
const usualMtu = 1500

/** The repairs of a sandbox's network, by interface name. */
export type WiringPlan = Readonly<{
  /** Interfaces that CNI has to add again. */
  add: ReadonlySet<string>
  /** Interfaces that have to be connected to their taps. */
  join: ReadonlySet<string>
  /** Interfaces that have to be served by DHCP. */
  serve: ReadonlySet<string>
  /** Whether the rules of the sandbox and of the host have to be set. */
  rules: Readonly<{ sandbox: boolean; host: boolean }>
  /** Descriptions of the damage. */
  why: readonly string[]
}>

/**
 * Plans the repairs of a sandbox's networks from the observation alone, never from what was done before: a reloaded firewall or a
 * deleted link causes no event.
 */
export function planWiring(cards: readonly Card[], observed: ObservedWiring): WiringPlan {
  const whole = { add: new Set<string>(), join: new Set<string>(), serve: new Set<string>() }
  const why: string[] = []
  const need = (what: keyof typeof whole, name: string, reasons: readonly string[]) => {
    if (!reasons.length) return
    whole[what].add(name)
    for (const reason of reasons) why.push(`${reason} (interface "${name}")`)
  }
  for (const { attachment, hostLinks, isServed } of cards) {
    const { name, links } = attachment
    need('add', name, [...lostPod(attachment, observed), ...hostLinks.flatMap((one) => lostHost(one, observed))])
    if (!whole.add.has(name)) need('join', name, unjoined(attachment, observed))
    const isDeaf = isServed && observed.sandbox.has(links.bridge) && !observed.served.has(links.bridge)
    need('serve', name, isDeaf ? ['the DHCP server had ended'] : [])
  }
  if (!observed.rules.sandbox) why.push('the packet filter rules of the sandbox were gone or changed')
  if (!observed.rules.host) why.push("the host's packet filter rules of the pod network were gone or changed")
  return { ...whole, rules: { sandbox: !observed.rules.sandbox, host: !observed.rules.host }, why }
}

/**
 * The cards, by interface name, whose taps are gone or that no process has open. Such a card of a guest is disconnected: a tap
 * that was deleted and made again is another one, and QEMU keeps the first open.
 */
export function deafCards(
  attachments: readonly Attachment[],
  { sandbox }: Pick<ObservedWiring, 'sandbox'>,
): readonly string[] {
  return attachments
    .filter(({ links }) => !sandbox.has(links.tap) || sandbox.get(links.tap)?.hasCarrier === false)
    .map(({ name }) => name)
}

function lostPod({ links, binding, network }: Attachment, { sandbox }: ObservedWiring): string[] {
  if (!isNetwork(network)) return []
  const link = sandbox.get(links.pod)
  if (!link) return [`the link ${links.pod} was gone`]
  // When a link goes down, the kernel drops the routes that CNI added.
  return link.isUp || bindings[binding].isOnNetwork ? [] : [`the link ${links.pod} was down`]
}

function lostHost({ name, bridge }: HostLink, { host }: ObservedWiring): string[] {
  if (!host) return []
  const link = host.get(name)
  if (!link) return [`the link ${name} of the host was gone`]
  if (bridge === undefined) return []
  if (!host.has(bridge)) return [`the bridge ${bridge} was gone`]
  return link.master === bridge ? [] : [`the link ${name} had left the bridge ${bridge}`]
}

/** The MTU of a card's links in the sandbox: that of its network, and the usual one without a network. */
export function mtuOf({ links, network }: Attachment, present: ReadonlyMap<string, Link>): number | undefined {
  return isNetwork(network) ? present.get(links.pod)?.mtu : usualMtu
}

function unjoined(attachment: Attachment, { sandbox }: ObservedWiring): string[] {
  const { links, binding, network } = attachment
  const mtu = mtuOf(attachment, sandbox)
  const bridge = sandbox.get(links.bridge)
  if (!bridge) return [`the bridge ${links.bridge} was gone`]
  const ports = bindings[binding].isOnNetwork && isNetwork(network) ? [links.tap, links.pod] : [links.tap]
  return [
    ...(bridge.isUp ? [] : [`the bridge ${links.bridge} was down`]),
    ...(bridge.mtu === mtu ? [] : [`the bridge ${links.bridge} had another MTU`]),
    ...ports.flatMap((name) => {
      const link = sandbox.get(name)
      if (!link) return [`the link ${name} was gone`]
      return [
        ...(link.master === links.bridge ? [] : [`the link ${name} had left the bridge ${links.bridge}`]),
        ...(link.isUp ? [] : [`the link ${name} was down`]),
        ...(link.mtu === mtu ? [] : [`the link ${name} had another MTU`]),
      ]
    }),
  ]
}
