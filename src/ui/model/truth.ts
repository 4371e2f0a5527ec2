import { effectiveLink } from '#core/nic/nic.ts'
import type { Jack, Machine } from './machine.ts'

/** One card in the table: what is declared, what the hypervisor has and what the guest says. */
export type TruthRow = Readonly<{
  key: string
  machine: Machine
  jack: Jack
  declared: string
  hypervisor: string
  guest: string
  addresses: string
  isDifferent: boolean
}>

export const columns = [
  'machine',
  'card',
  'network',
  'declared',
  'hypervisor',
  'guest',
  'mac',
  'addresses',
  'state',
] as const
export type Column = (typeof columns)[number]
export type Order = Readonly<{ by: Column; isDown: boolean }>

export function truthRows(machines: readonly Machine[]): readonly TruthRow[] {
  return machines.flatMap((machine) =>
    machine.jacks.map((jack): TruthRow => {
      const { declared, hypervisor, guest, addresses, guestAddresses } = jack
      const wanted = declared === 'up' || declared === 'down' ? effectiveLink(declared, jack.rail) : declared
      return {
        key: `${machine.key}/${jack.name}`,
        machine,
        jack,
        declared: declared ?? '',
        hypervisor: hypervisor ?? '',
        guest: guest ?? '',
        addresses: [...(addresses ?? []), ...(guestAddresses ?? [])].join(', '),
        isDifferent:
          (hypervisor !== undefined && wanted !== hypervisor) ||
          ['failed', 'drifted', 'waiting', 'moving'].includes(jack.cable.state),
      }
    }),
  )
}

export function cellOf(row: TruthRow, column: Column): string {
  switch (column) {
    case 'machine':
      return row.machine.key
    case 'card':
      return row.jack.name
    case 'network':
      return row.jack.rail
    case 'mac':
      return row.jack.mac ?? ''
    case 'state':
      return row.jack.cable.state
    default:
      return row[column]
  }
}

/** Sorted by a column, equal cells by machine and card. */
export function sorted(rows: readonly TruthRow[], { by, isDown }: Order): readonly TruthRow[] {
  const sign = isDown ? -1 : 1
  const compare = new Intl.Collator('en', { numeric: true }).compare
  return rows.toSorted((a, b) => sign * compare(cellOf(a, by), cellOf(b, by)) || compare(a.key, b.key))
}
