import { bindings } from './bindings.ts'
import { type Cost, type Field, fieldNames, fields, type Nic, type PlannedNic, pick, plain, podNetwork } from './nic.ts'

/**
 * One effect on a running guest, specific enough that carrying it out needs no decision. `nic` is the interface as it is to be
 * after the step, and for `unplug` as it is before; `from` is the network a rewired one leaves.
 */
export type Step = Readonly<{
  do: 'update' | 'unplug' | 'rewire' | 'plug'
  nic: Nic
  changed: readonly Field[]
  from?: string
}>

/** A difference that cannot be settled on the running guest. It becomes a condition on the object, never a step. */
type Need = Readonly<{ nic: string; why: 'restart'; changed: readonly (Field | 'added' | 'removed')[] }>

export type Plan = Readonly<{ steps: readonly Step[]; needs: readonly Need[] }>

/**
 * Decides what to do about the interfaces of a running guest, and does nothing. The same function compares a VM's template
 * with its instance (control plane) and an instance with its domain (node). When live and costlier fields differ on one
 * interface, the live ones are still updated at once: pulling a cable does not wait for a restart. What was merely taken out
 * of a list is no wish to unplug it: that is said by `absent`.
 */
export function planNics(desired: readonly PlannedNic[], observed: readonly PlannedNic[]): Plan {
  const present = new Map(observed.map((nic) => [nic.name, nic]))
  const wanted = new Set(desired.map((nic) => nic.name))
  const steps: Step[] = []
  const needs: Need[] = []
  for (const nic of desired) {
    const now = present.get(nic.name)
    if (nic.absent) {
      if (now) steps.push({ do: 'unplug', nic: plain(now), changed: [] })
      continue
    }
    if (!now) {
      if (nic.isPluggable) steps.push({ do: 'plug', nic: plain(nic), changed: [] })
      else needs.push({ nic: nic.name, why: 'restart', changed: ['added'] })
      continue
    }
    if (now.isDeaf) {
      // Nothing gives a card another tap but to plug it again.
      steps.push({ do: 'unplug', nic: plain(now), changed: [] }, { do: 'plug', nic: plain(now), changed: [] })
      continue
    }
    const changes = changesOf(nic, now)
    steps.push(...changes.steps)
    if (changes.restart.length) needs.push({ nic: nic.name, why: 'restart', changed: changes.restart })
  }
  for (const nic of observed)
    if (!wanted.has(nic.name)) needs.push({ nic: nic.name, why: 'restart', changed: ['removed'] })
  return { steps: steps.toSorted((a, b) => order.indexOf(a.do) - order.indexOf(b.do)), needs }
}

/** Links first, for they take no time; what leaves makes room for what comes. */
const order: readonly Step['do'][] = ['update', 'unplug', 'rewire', 'plug']

/** What it takes to make an interface that is there as it is wanted: steps, and fields that only a restart changes. */
function changesOf(nic: PlannedNic, now: PlannedNic): { steps: Step[]; restart: Field[] } {
  const live = changedFields(nic, now, 'live')
  const network = changedFields(nic, now, 'rewire')
  const restart = changedFields(nic, now, 'restart')
  const update = (changed: readonly Field[]): Step[] =>
    changed.length ? [{ do: 'update', nic: { ...plain(now), ...pick(nic, changed) }, changed }] : []
  if (!network.length || !canMove(nic, now)) return { steps: update(live), restart: [...restart, ...network] }
  // A cable that is to come up on another network must not come up on this one first; one to go down does so at once.
  const [before, along] = nic.link === 'up' ? [[], live] : [live, []]
  const changed = [...network, ...along]
  const moved = { ...plain(now), link: nic.link, ...pick(nic, changed) }
  return { steps: [...update(before), { do: 'rewire', nic: moved, changed, from: now.network }], restart }
}

/** Whether an interface can move to another network while it runs: what could not be plugged cannot. */
function canMove(nic: PlannedNic, now: PlannedNic): boolean {
  const isSecondary = nic.network !== podNetwork && now.network !== podNetwork
  const canLeave = nic.isPluggable === true && now.isPluggable !== false
  return canLeave && bindings[nic.binding].isRewirable && nic.binding === now.binding && isSecondary
}

function changedFields(a: Nic, b: Nic, cost: Cost): Field[] {
  return fieldNames.filter((field) => fields[field] === cost && a[field] !== b[field])
}
