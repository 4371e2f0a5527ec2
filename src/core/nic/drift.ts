import type { Nic } from './nic.ts'

/** On a VM (or its template): `report` leaves a link that somebody else changed as it was found. */
export const linkDriftAnnotation = 'patchbay.dev/link-drift'

/** On a VM: who last changed the state of one of its interfaces; written at admission. */
export const linkChangedByAnnotation = 'patchbay.dev/link-changed-by'

/** On a VM: its generation when that was; so that declaring something and taking it back is still a wish of its own. */
export const linkChangedInAnnotation = 'patchbay.dev/link-changed-in-generation'

/** On a VM: who last moved one of its interfaces to another network; written at admission. */
export const networkChangedByAnnotation = 'patchbay.dev/network-changed-by'

/** Link states by interface. */
export type Links = ReadonlyMap<string, 'up' | 'down'>

/** A link that is not as declared although nobody declared anything new: somebody went behind our back. */
export type Drift = Readonly<{ nic: string; declared: 'up' | 'down'; found: 'up' | 'down' }>

/** The links of interfaces, by name. */
export function linksOf(nics: readonly Pick<Nic, 'name' | 'link'>[]): Links {
  return new Map(nics.map(({ name, link }) => [name, link]))
}

/**
 * Links that changed since they were last seen, away from what is declared. A link that differs from what is declared but
 * is still as last seen is no drift: its owner has just declared something new. `known` is what was last seen or made.
 */
export function linkDrift(desired: readonly Nic[], observed: readonly Nic[], known: Links): Drift[] {
  const declared = linksOf(desired)
  return observed.flatMap(({ name, link }): Drift[] => {
    const wanted = declared.get(name)
    const before = known.get(name)
    if (wanted === undefined || wanted === link || before === undefined || before === link) return []
    return [{ nic: name, declared: wanted, found: link }]
  })
}

/** Drift in words: `link of interface "red" is up, declared down`. */
export function driftText(drift: readonly Drift[]): string {
  return drift
    .map(({ nic, declared, found }) => `link of interface "${nic}" is ${found}, declared ${declared}`)
    .join('; ')
}

/** What a look at a guest's links showed: changes from outside that were not seen before, and those that stay as found. */
export type LinkDrift = Readonly<{ fresh: readonly Drift[]; kept: readonly Drift[] }>
