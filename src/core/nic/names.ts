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

/** Names of a secondary interface's links, from the logical name of its network. */
export function linkNames(network: string): LinkNames {
  const hash = sha256Hex(network).slice(0, digits)
  return { pod: `pod${hash}`, bridge: `k6t-${hash}`, tap: `tap${hash}` }
}

/** Names of the primary interface's links. */
export const primaryLinkNames: LinkNames = { pod: 'eth0', bridge: 'k6t-eth0', tap: 'tap0' }

/** The alias libvirt knows an interface by. */
export function aliasOf(name: string): string {
  return `ua-${name}`
}
