import type { Nic } from './nic.ts'

/** On a VM (or its template): `report` leaves a link that was changed outside Patchbay as it was found. */
export const linkDriftAnnotation = 'patchbay.dev/link-drift'

/** On a VM: the user who last changed the state of one of its interfaces; written at admission. */
export const linkChangedByAnnotation = 'patchbay.dev/link-changed-by'

/** On a VM: its generation at that time, so that a state that is declared again counts as a new declaration. */
export const linkChangedInAnnotation = 'patchbay.dev/link-changed-in-generation'

/** On a VM: the user who last moved one of its interfaces to another network; written at admission. */
export const networkChangedByAnnotation = 'patchbay.dev/network-changed-by'

/** Link states by interface. */
export type Links = ReadonlyMap<string, 'up' | 'down'>

/** A link that differs from its declaration although no new state was declared: it was changed outside Patchbay. */
export type Drift = Readonly<{ nic: string; declared: 'up' | 'down'; found: 'up' | 'down' }>

/** The links of interfaces, by name. */
export function linksOf(nics: readonly Pick<Nic, 'name' | 'link'>[]): Links {
  return new Map(nics.map(({ name, link }) => [name, link]))
}

/**
 * Links that have changed since the last observation and differ from their declaration. A link that differs from its declaration
 * and has not changed is no drift: its owner has declared a new state. `known` are the links as last observed or set.
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

/** Drift as text: `link of interface "red" is up, declared down`. */
export function driftText(drift: readonly Drift[]): string {
  return drift
    .map(({ nic, declared, found }) => `link of interface "${nic}" is ${found}, declared ${declared}`)
    .join('; ')
}

/** The drift of a guest's links: changes that are new (`fresh`), and those that are left as they were found (`kept`). */
export type LinkDrift = Readonly<{ fresh: readonly Drift[]; kept: readonly Drift[] }>
