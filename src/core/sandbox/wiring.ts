import { bindings } from '../nic/bindings.ts'
import type { Attachment } from './plan.ts'

/** A network link as the kernel has it. `hasCarrier` is unknown while it is down; a tap has it while somebody has it open. */
export type Link = Readonly<{ ifname: string; mtu: number; master?: string; isUp: boolean; hasCarrier?: boolean }>

/** A link that CNI made on the host for an attachment, no bridge, and the bridge it is a port of, if it is one. */
export type HostLink = Readonly<{ name: string; bridge?: string }>

/** An attachment that CNI has made, with what else belongs to it. */
export type Card = Readonly<{
  attachment: Attachment
  hostLinks: readonly HostLink[]
  /** Whether a DHCP server of the sandbox serves its guest. */
  isServed: boolean
}>

/** The network of a sandbox, and what of the host's it is on, as they are. */
export type ObservedWiring = Readonly<{
  /** Links by name, in the sandbox and on the host; undefined where nobody looked, which tells of no damage. */
  sandbox: ReadonlyMap<string, Link>
  host: ReadonlyMap<string, Link> | undefined
  /** The bridges in the sandbox that are served. */
  served: ReadonlySet<string>
  /** Whether the rules of the packet filter are those that are wanted. */
  rules: Readonly<{ sandbox: boolean; host: boolean }>
}>

/** What has to be done to make a sandbox's network whole, by interface name. Nothing of it is done here. */
export type WiringPlan = Readonly<{
  /** CNI has to add these again. */
  add: ReadonlySet<string>
  /** These have to be joined to their taps. */
  join: ReadonlySet<string>
  /** These have to be served. */
  serve: ReadonlySet<string>
  /** Whose rules have to be set. */
  rules: Readonly<{ sandbox: boolean; host: boolean }>
  /** What is wrong, in words. */
  why: readonly string[]
}>

/**
 * Decides what is missing of the networks of a sandbox. It goes by what is there alone, never by what was done before: a
 * firewall that is reloaded, or whoever deletes a link, tells nobody.
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
 * The cards, by interface name, whose taps are gone or open to nobody. Those that a guest has are dead: a tap that was deleted
 * and made again is another one, and QEMU goes on with the first.
 */
export function deafCards(
  attachments: readonly Attachment[],
  { sandbox }: Pick<ObservedWiring, 'sandbox'>,
): readonly string[] {
  return attachments
    .filter(({ links }) => !sandbox.has(links.tap) || sandbox.get(links.tap)?.hasCarrier === false)
    .map(({ name }) => name)
}

function lostPod({ links, binding }: Attachment, { sandbox }: ObservedWiring): string[] {
  const link = sandbox.get(links.pod)
  if (!link) return [`the link ${links.pod} was gone`]
  // The routes that CNI gave it have gone with its being up.
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

function unjoined({ links, binding }: Attachment, { sandbox }: ObservedWiring): string[] {
  const mtu = sandbox.get(links.pod)?.mtu
  const bridge = sandbox.get(links.bridge)
  if (!bridge) return [`the bridge ${links.bridge} was gone`]
  const ports = bindings[binding].isOnNetwork ? [links.tap, links.pod] : [links.tap]
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
