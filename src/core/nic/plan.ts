import { bindings } from './bindings.ts'
import { type Cost, type Field, fieldNames, fields, type Nic, type PlannedNic, pick, plain, podNetwork } from './nic.ts'

/**
 * One effect on a running guest, specific enough that executing it needs no decision. `nic` is the interface after the step, and
 * for `unplug` before it; `from` is the old network of a `rewire`.
 */
export type Step = Readonly<{
  do: 'update' | 'unplug' | 'rewire' | 'plug'
  nic: Nic
  changed: readonly Field[]
  from?: string
}>

/** A difference that cannot be applied to the running guest. It becomes a condition of the object, never a step. */
type Need = Readonly<{ nic: string; why: 'restart'; changed: readonly (Field | 'added' | 'removed')[] }>

export type Plan = Readonly<{ steps: readonly Step[]; needs: readonly Need[] }>

/**
 * Plans the changes of a running guest's interfaces; it has no effects. The same function compares a VM's template with its
 * instance (control plane) and an instance with its domain (node). If live and costlier fields of one interface differ, the live
 * ones are updated at once: a link change does not wait for a restart. An interface that is only missing from the list is not
 * unplugged: that is declared by `absent`.
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
      // A card gets another tap only when it is plugged again.
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

/** Links first, since they are fast; unplugs before plugs, since they free ports. */
const order: readonly Step['do'][] = ['update', 'unplug', 'rewire', 'plug']

/** The changes of an existing interface: steps, and fields that only a restart changes. */
function changesOf(nic: PlannedNic, now: PlannedNic): { steps: Step[]; restart: Field[] } {
  const live = changedFields(nic, now, 'live')
  const network = changedFields(nic, now, 'rewire')
  const restart = changedFields(nic, now, 'restart')
  const update = (changed: readonly Field[]): Step[] =>
    changed.length ? [{ do: 'update', nic: { ...plain(now), ...pick(nic, changed) }, changed }] : []
  if (!network.length || !canMove(nic, now)) return { steps: update(live), restart: [...restart, ...network] }
  // A link that is to be up on another network must not come up on this one first; a link that is to be down goes down at once.
  const [before, along] = nic.link === 'up' ? [[], live] : [live, []]
  const changed = [...network, ...along]
  const moved = { ...plain(now), link: nic.link, ...pick(nic, changed) }
  return { steps: [...update(before), { do: 'rewire', nic: moved, changed, from: now.network }], restart }
}

/** Whether an interface can be rewired while the guest runs: only one that could be plugged can. */
function canMove(nic: PlannedNic, now: PlannedNic): boolean {
  const isSecondary = nic.network !== podNetwork && now.network !== podNetwork
  const canLeave = nic.isPluggable === true && now.isPluggable !== false
  return canLeave && bindings[nic.binding].isRewirable && nic.binding === now.binding && isSecondary
}

function changedFields(a: Nic, b: Nic, cost: Cost): Field[] {
  return fieldNames.filter((field) => fields[field] === cost && a[field] !== b[field])
}
