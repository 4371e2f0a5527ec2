import type { Field, Nic } from './nic.ts'
import type { Plan, Step } from './plan.ts'

/** A plan as text, one line for each change: `update link of interface "red": up -> down (live)`. */
export function planLines({ steps, needs }: Plan, desired: readonly Nic[], observed: readonly Nic[]): string[] {
  const wanted = new Map(desired.map((nic) => [nic.name, nic]))
  const present = new Map(observed.map((nic) => [nic.name, nic]))
  const line = (name: string, changed: Field | 'added' | 'removed', how: string) => {
    if (changed === 'added') return `add interface "${name}" (${how})`
    if (changed === 'removed') return `remove interface "${name}" (${how})`
    const [from, to] = [present.get(name)?.[changed], wanted.get(name)?.[changed]]
    return `update ${changed} of interface "${name}": ${from} -> ${to} (${how})`
  }
  return [
    ...steps.flatMap(({ do: what, nic, changed }) => {
      if (what === 'plug') return [`plug interface "${nic.name}" into ${nic.network}, link ${nic.link} (live)`]
      if (what === 'unplug') return [`unplug interface "${nic.name}" (live)`]
      return changed.map((field) => line(nic.name, field, what === 'rewire' && field === 'network' ? 'rewire' : 'live'))
    }),
    ...needs.flatMap(({ nic, why, changed }) => changed.map((field) => line(nic, field, why))),
  ]
}

/** A step as text, for logs: `update red link down`, `rewire red network up default/red -> default/blue`. */
export function planText({ do: what, nic, changed, from }: Step): string {
  const way = from === undefined ? '' : `${from} -> ${nic.network}`
  return [what, nic.name, changed.join(), nic.link, way].filter(Boolean).join(' ')
}
