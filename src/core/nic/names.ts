import { sha256Hex } from '#base/sha256.ts'

/** The links that one interface has in its sandbox (facts/kubevirt.md §3.5). */
export type LinkNames = Readonly<{
  /** What CNI puts there. */
  pod: string
  /** The bridge that joins it to the guest. */
  bridge: string
  /** The guest's end. */
  tap: string
}>

/** The first 11 hex digits: kernel names end at 15 characters. */
const digits = 11

/** Names that were asked for, which is several times in every pass; most networks there are room for. */
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
 * What CNI calls the link of an interface that was moved to `network`. Until a move is over both networks are in the sandbox,
 * and CNI knows each by the name it was added under, so the canonical name cannot serve for the second. It cannot clash with
 * that of another interface: no interface's name has a slash.
 */
export function movedLinkName(name: string, network: string): string {
  return linkNames(`${name}/${network}`).pod
}

/** Names of the primary interface's links. */
export const primaryLinkNames: LinkNames = { pod: 'eth0', bridge: 'k6t-eth0', tap: 'tap0' }

/** The alias libvirt knows an interface by. */
export function aliasOf(name: string): string {
  return `ua-${name}`
}
