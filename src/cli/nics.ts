import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { noNetwork } from '#core/nic/nic.ts'
import { isRunning, type NicRow, nicRows } from '#core/vm/nic-rows.ts'
import type { Context } from './context.ts'
import { getVm } from './declare.ts'
import { table } from './table.ts'

export type NicsFormat = 'table' | 'wide' | 'json'

/** Shows the interfaces of a VM as each component has them, side by side. @throws Fault NotFound */
export async function showNics({ client, namespace, print }: Context, name: string, format: NicsFormat): Promise<void> {
  const vm = await getVm(client, { namespace, name })
  const vmi = await client.get(VirtualMachineInstance, { namespace, name })
  const rows = nicRows(vm, vmi)
  const running = isRunning(vmi)
  const ports = running ? vmi.status?.pciPorts : undefined
  const data = { name, namespace, running, ...(ports && { ports }), interfaces: rows }
  if (format === 'json') return print.line(JSON.stringify(data, undefined, 2))
  for (const line of nicLines(rows, { running, wide: format === 'wide' })) print.line(line)
  if (ports) print.line(`Ports: ${ports.free} free of ${ports.total}`)
}

type Heading = readonly [title: string, cell: (row: NicRow) => string | undefined, when?: 'running' | 'wide']

const headings: readonly Heading[] = [
  ['NAME', ({ name }) => name],
  ['NETWORK', ({ network }) => (network === noNetwork ? '(none)' : network)],
  ['MAC', ({ mac }) => mac],
  ['BINDING', ({ binding }) => binding],
  ['MODEL', ({ model }) => model],
  ['DECLARED', declaredText],
  ['HYPERVISOR', ({ hypervisor }) => hypervisor, 'running'],
  ['GUEST', guestText, 'running'],
  ['ADDRESSES', ({ addresses }) => addresses?.join(','), 'wide'],
  ['POD-INTERFACE', ({ podInterface }) => podInterface, 'wide'],
  ['QUEUES', ({ queues }) => queues?.toString(), 'wide'],
  ['SOURCE', ({ source }) => source, 'wide'],
  ['', ({ differences }) => (differences.length ? '!' : ' '), 'running'],
]

/** Rows as a table; each difference is marked by `!` and explained below. A stopped VM shows only its declaration. */
export function nicLines(rows: readonly NicRow[], { running, wide }: { running: boolean; wide: boolean }): string[] {
  const shown = headings.filter(([, , when]) => when === undefined || (running && (when === 'running' || wide)))
  const titles = shown.map(([title]) => title)
  const lines = table(
    titles,
    rows.map((row) => shown.map(([, cell]) => cell(row) || '-')),
  )
  const reported = rows.flatMap(({ name, differences }) => differences.map((text) => `! ${name}: ${text}`))
  return reported.length ? [...lines, '', ...reported] : lines
}

/** The guest's device with its address, and the pod's address where it differs: clients reach the pod's. */
function guestText({ guest, addresses, guestAddresses }: NicRow): string {
  const [own, reached] = [guestAddresses?.[0], addresses?.[0]]
  return [guest, own ?? reached, own && reached && `(pod ${reached})`].filter(Boolean).join(' ')
}

function declaredText({ declared, instance }: NicRow): string | undefined {
  if (declared === undefined || instance === undefined || instance === declared) return declared
  return `${declared} (instance ${instance})`
}
