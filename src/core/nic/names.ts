import { sha256Hex } from '#base/sha256.ts'

/** Names of the links of one interface in its sandbox (facts/kubevirt.md §3.5). */
export type LinkNames = Readonly<{
  /** The link that CNI adds. */
  pod: string
  /** The bridge that connects it to the tap. */
  bridge: string
  /** The tap of the guest's card. */
  tap: string
}>

/** The first 11 hex digits: names of links have at most 15 characters. */
const digits = 11

/** Cache of computed names, which every pass needs several times; cleared when it has so many. */
const known = new Map<string, LinkNames>()
const mostKnown = 10_000

/** Names of a secondary interface's links, from the logical name of its network. */
export function linkNames(network: string): LinkNames {
  const found = known.get(network)
  if (found) return found
  const hash = sha256Hex(network).slice(0, digits)
  const names = { pod: `pod${hash}`, bridge: `k6t-${hash}`, tap: `tap${hash}` }
  if (known.size >= mostKnown) known.clear()
  known.set(network, names)
  return names
}

/**
 * The name under which CNI adds the link of an interface that is rewired to `network`. During a rewire both networks are in the
 * sandbox, and CNI identifies each by its name, so the second cannot have the canonical name. It cannot equal the name of another
 * interface, since no interface's name contains a slash.
 */
export function movedLinkName(name: string, network: string): string {
  return linkNames(`${name}/${network}`).pod
}

/** Names of the primary interface's links. */
export const primaryLinkNames: LinkNames = { pod: 'eth0', bridge: 'k6t-eth0', tap: 'tap0' }

/** The alias of an interface in libvirt when its card is a device of the host (KubeVirt). */
export function deviceAliasOf(name: string): string {
  return aliasOf(`sriov-${name}`)
}

/** The alias of an interface in libvirt. */
export function aliasOf(name: string): string {
  return `ua-${name}`
}
