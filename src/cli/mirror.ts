import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { Fault } from '#base/fault.ts'
import { sourcesIn, withSources } from '#core/nic/mirror.ts'
import type { Context } from './context.ts'
import { getVm, interfaceOf } from './declare.ts'

/**
 * Declares which networks' whole traffic is copied to an interface of a VM (names as in `multus.networkName`); none ends it.
 * @throws Fault NotFound, Forbidden, Invalid
 */
export async function mirror(
  { client, namespace, print }: Context,
  [name, nic]: readonly [vm: string, nic: string],
  sources: readonly string[],
  { dryRun = false }: Readonly<{ dryRun?: boolean }> = {},
): Promise<void> {
  const key = { namespace, name }
  const before = await getVm(client, key)
  // What is left of an interface that is gone can be ended, too.
  if (sources.length) interfaceOf(before, nic)
  const after = await client.modify(
    VirtualMachine,
    key,
    (current) => ({ ...current, metadata: withSources(current.metadata, nic, sources) }),
    { dryRun },
  )
  if (!after) throw new Fault('NotFound', `VM ${name} was deleted meanwhile`)
  const now = sourcesIn(after.metadata)?.get(nic) ?? []
  const what = now.length ? `gets a copy of all traffic of ${now.join(', ')}` : 'gets no copies'
  print.line(`Interface ${nic} of VM ${name} ${what}${dryRun ? ' (dry run)' : ''}`)
}
