import { VirtualMachineInstanceMigration } from '#apis/kubevirt/migration.ts'
import { vmiNameLabel } from '#core/migration/labels.ts'
import { isOver } from '#core/migration/phases.ts'
import { type Context, ExitError } from './context.ts'
import { bodyOf, orEnd, pathOf } from './virtctl.ts'

/** `migrate` of a VM. `labels` select the target nodes, as `key=value`. @throws ExitError in virtctl's words */
export async function migrate(
  { client, namespace, print }: Context,
  name: string,
  { labels = [], dryRun = false }: Readonly<{ labels?: readonly string[]; dryRun?: boolean }>,
): Promise<void> {
  const addedNodeSelector = Object.fromEntries(labels.map(labelOf))
  const body = { ...bodyOf(print, dryRun), ...(labels.length && { addedNodeSelector }) }
  await orEnd('Error migrating VirtualMachine ', () =>
    client.call('PUT', pathOf(namespace, 'virtualmachines', name, 'migrate'), body),
  )
  print.line(`VM ${name} was scheduled to migrate`)
}

function labelOf(text: string): readonly [key: string, value: string] {
  const [key, value, ...rest] = text.split('=')
  if (key && value !== undefined && !rest.length) return [key, value]
  throw new ExitError(1, `invalid format for label: ${text}`)
}

/** `migrate-cancel` of a VM: deletes its unfinished migration. @throws ExitError in virtctl's words */
export async function cancelMigration(
  { client, namespace, print }: Context,
  name: string,
  dryRun: boolean,
): Promise<void> {
  bodyOf(print, dryRun)
  const { items } = await orEnd('Error fetching virtual machine instance migration list  ', () =>
    client.list(VirtualMachineInstanceMigration, { namespace, labelSelector: `${vmiNameLabel}==${name}` }),
  )
  const found = items.find((one) => !isOver(one))
  if (!found) throw new ExitError(1, `Found no migration to cancel for ${name}`)
  await orEnd(`Error canceling migration ${found.metadata.name} of a VirtualMachine ${name}: `, () =>
    client.delete(VirtualMachineInstanceMigration, { namespace, name: found.metadata.name }, { dryRun }),
  )
  print.line(`VM ${name} was scheduled to migrate-cancel`)
}
