import { type Cost, type Field, fieldNames, fields, type Nic } from './nic.ts'

/** One effect on a running guest, specific enough that carrying it out needs no decision. */
export type Step = Readonly<{ do: 'update' | 'plug' | 'unplug'; nic: Nic; changed: readonly Field[] }>

/** A difference that cannot be settled on the running guest. It becomes a condition on the object, never a step. */
type Need = Readonly<{ nic: string; why: 'restart'; changed: readonly (Field | 'added' | 'removed')[] }>

export type Plan = Readonly<{ steps: readonly Step[]; needs: readonly Need[] }>

/** An interface as somebody wants it: there, or declared `absent` and to leave the guest. */
export type WantedNic = Nic &
  Readonly<{
    absent?: boolean
    /** Can join a guest while it runs: bridges to secondary networks can (facts/kubevirt.md §3.2). */
    isPluggable?: boolean
  }>

/**
 * Decides what to do about the interfaces of a running guest, and does nothing. The same function compares a VM's template
 * with its instance (control plane) and an instance with its domain (node). When live and costlier fields differ on one
 * interface, the live ones are still updated at once: pulling a cable does not wait for a restart. What was merely taken out
 * of a list is no wish to unplug it: that is said by `absent`.
 */
export function planNics(desired: readonly WantedNic[], observed: readonly Nic[]): Plan {
  const present = new Map(observed.map((nic) => [nic.name, nic]))
  const wanted = new Set(desired.map((nic) => nic.name))
  const updates: Step[] = []
  const plugs: Step[] = []
  const unplugs: Step[] = []
  const needs: Need[] = []
  for (const nic of desired) {
    const now = present.get(nic.name)
    if (nic.absent) {
      if (now) unplugs.push({ do: 'unplug', nic: now, changed: [] })
      continue
    }
    if (!now) {
      if (nic.isPluggable) plugs.push({ do: 'plug', nic: plain(nic), changed: [] })
      else needs.push({ nic: nic.name, why: 'restart', changed: ['added'] })
      continue
    }
    const live = changedFields(nic, now, 'live')
    if (live.length) updates.push({ do: 'update', nic: { ...now, ...pick(nic, live) }, changed: live })
    const restart = changedFields(nic, now, 'restart')
    if (restart.length) needs.push({ nic: nic.name, why: 'restart', changed: restart })
  }
  for (const nic of observed)
    if (!wanted.has(nic.name)) needs.push({ nic: nic.name, why: 'restart', changed: ['removed'] })
  // Links first, for they take no time; what leaves makes room for what comes.
  return { steps: [...updates, ...unplugs, ...plugs], needs }
}

function changedFields(a: Nic, b: Nic, cost: Cost): Field[] {
  return fieldNames.filter((field) => fields[field] === cost && a[field] !== b[field])
}

function pick(nic: Nic, names: readonly Field[]): Partial<Nic> {
  return Object.fromEntries(names.map((name) => [name, nic[name]]))
}

/** Just the fields every interface has. */
function plain(nic: Nic): Nic {
  return { name: nic.name, ...pick(nic, fieldNames) } as Nic
}
