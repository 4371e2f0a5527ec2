import { noNetwork } from '#core/nic/nic.ts'
import type { Machine } from './machine.ts'

/** What is shown; an empty text shows all. */
export type Filter = Readonly<{ text: string; namespace: string; network: string }>

export const noFilter: Filter = { text: '', namespace: '', network: '' }

/** Machines that have all words of the text somewhere: in their names, cards, addresses, networks, hosts or states. */
export function filtered(machines: readonly Machine[], { text, namespace, network }: Filter): readonly Machine[] {
  const parts = text.toLowerCase().split(/\s+/).filter(Boolean)
  return machines.filter(
    (machine) =>
      (!namespace || machine.namespace === namespace) &&
      (!network || machine.jacks.some(({ rail }) => rail === network)) &&
      parts.every((part) => textOf(machine).includes(part)),
  )
}

const texts = new WeakMap<Machine, string>()

/** Machines are values, so the text of one never changes. */
function textOf(machine: Machine): string {
  const known = texts.get(machine)
  if (known !== undefined) return known
  const { namespace, name, host = '', status, jacks } = machine
  const text = [
    namespace,
    name,
    host,
    status,
    ...jacks.flatMap((jack) => [
      jack.name,
      jack.rail === noNetwork ? '' : jack.rail,
      jack.mac ?? '',
      jack.guest ?? '',
      jack.cable.state,
      ...(jack.addresses ?? []),
    ]),
  ]
    .join('\n')
    .toLowerCase()
  texts.set(machine, text)
  return text
}
