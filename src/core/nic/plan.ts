import { type Cost, type Field, fieldNames, fields, type Nic } from './nic.ts'

/** One effect on a running guest, specific enough that carrying it out needs no decision. */
export type Step = Readonly<{ do: 'update'; nic: Nic; changed: readonly Field[] }>

/** A difference that cannot be settled on the running guest. It becomes a condition on the object, never a step. */
type Need = Readonly<{ nic: string; why: 'restart'; changed: readonly (Field | 'added' | 'removed')[] }>

export type Plan = Readonly<{ steps: readonly Step[]; needs: readonly Need[] }>

/**
 * Decides what to do about the interfaces of a running guest, and does nothing. The same function compares a VM's template
 * with its instance (control plane) and an instance with its domain (node). When live and costlier fields differ on one
 * interface, the live ones are still updated at once: pulling a cable does not wait for a restart.
 */
export function planNics(desired: readonly Nic[], observed: readonly Nic[]): Plan {
  const present = new Map(observed.map((nic) => [nic.name, nic]))
  const wanted = new Set(desired.map((nic) => nic.name))
  const steps: Step[] = []
  const needs: Need[] = []
  for (const nic of desired) {
    const now = present.get(nic.name)
    if (!now) {
      needs.push({ nic: nic.name, why: 'restart', changed: ['added'] })
      continue
    }
    const live = changedFields(nic, now, 'live')
    if (live.length) steps.push({ do: 'update', nic: { ...now, ...pick(nic, live) }, changed: live })
    const restart = changedFields(nic, now, 'restart')
    if (restart.length) needs.push({ nic: nic.name, why: 'restart', changed: restart })
  }
  for (const nic of observed)
    if (!wanted.has(nic.name)) needs.push({ nic: nic.name, why: 'restart', changed: ['removed'] })
  return { steps, needs }
}

function changedFields(a: Nic, b: Nic, cost: Cost): Field[] {
  return fieldNames.filter((field) => fields[field] === cost && a[field] !== b[field])
}

function pick(nic: Nic, names: readonly Field[]): Partial<Nic> {
  return Object.fromEntries(names.map((name) => [name, nic[name]]))
}
