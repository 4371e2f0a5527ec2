import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Stored } from '#apis/meta/object.ts'
import { Fault } from '#base/fault.ts'
import { linkOf, wantedNics } from '#core/nic/desired.ts'
import { isNetwork } from '#core/nic/nic.ts'
import { findCondition } from '#core/vm/conditions.ts'
import { isRunning } from '#core/vm/nic-rows.ts'
import type { Client } from '#machinery/client/client.ts'
import type { Context } from './context.ts'
import { declareState, getVm, interfaceOf, type NicKey } from './declare.ts'
import { durationText } from './duration.ts'
import { previewOf } from './preview.ts'
import { linkIn, VmiWatcher } from './vmi-watcher.ts'

type Link = 'up' | 'down'

export type LinkOptions = Readonly<{
  /** How long to wait for the hypervisor; undefined not to wait. */
  waitMs?: number
  dryRun?: boolean
}>

/** Declares the link of an interface up or down. @throws Fault NotFound, Conflict, Invalid, Timeout */
export async function setLink(
  context: Context,
  [name, nic]: readonly [name: string, nic: string],
  link: Link,
  { waitMs, dryRun = false }: LinkOptions,
): Promise<void> {
  const { client, namespace, print } = context
  const key = { namespace, name, nic }
  const vm = await getVm(client, key)
  const { state } = interfaceOf(vm, nic).one
  requirePlugged(key, state)
  if (linkOf(state) === link) print.line(`Link of interface ${nic} of VM ${name} is already ${link}`)
  else if (dryRun) await preview(context, key, link)
  else {
    await declareState(client, key, link, { check: (now) => requirePlugged(key, now) })
    print.line(`Link of interface ${nic} of VM ${name} is set ${link}`)
  }
  if (isOffNetworks(vm, nic))
    print.note(`Interface ${nic} of VM ${name} is on no network; until it is on one, its link stays down`)
  else if (waitMs !== undefined && !dryRun) await waitForLink(context, key, link, waitMs)
}

/** Whether an interface is declared to be on no network, so that its link is down whatever its state. */
export function isOffNetworks({ spec, metadata }: Stored<VirtualMachine>, nic: string): boolean {
  return wantedNics(spec.template.spec, metadata.namespace).some((one) => one.name === nic && !isNetwork(one.network))
}

/** @throws Fault Conflict for an interface that has no link */
export function requirePlugged({ name, nic }: NicKey, state: string | undefined): void {
  if (state === 'absent')
    throw new Fault(
      'Conflict',
      `Interface ${nic} of VM ${name} is declared absent and has no link; plug it first by changing its state in the manifest`,
    )
}

/** Shows the effect of a change: admission's answer, and the plan for the running guest. */
async function preview({ client, print }: Context, key: NicKey, link: Link): Promise<void> {
  const { name, nic } = key
  const after = await declareState(client, key, link, { dryRun: true })
  const preview = await previewOf(client, key, after)
  if (preview) for (const line of preview.lines) print.line(line)
  else print.line(`VM ${name} is not running; its guest would start with the link ${link}`)
  print.line(`Link of interface ${nic} of VM ${name} would be set ${link} (dry run)`)
}

/** Whether an interface that the running instance lacks will be plugged without a restart. */
async function isPluggable(client: Client, { nic, ...key }: NicKey): Promise<boolean> {
  const vm = await client.get(VirtualMachine, key)
  const wanted = vm ? wantedNics(vm.spec.template.spec, key.namespace) : []
  return wanted.some((one) => one.name === nic && one.isPluggable)
}

/** Waits until the hypervisor has the declared link. @throws Fault Timeout, Conflict when it cannot */
async function waitForLink({ client, print }: Context, key: NicKey, link: Link, ms: number): Promise<void> {
  const { namespace, name, nic } = key
  const vmi = await client.get(VirtualMachineInstance, key)
  if (!isRunning(vmi)) return print.line(`VM ${name} is not running; its guest will start with the link ${link}`)
  if (!vmi.spec.domain.devices.interfaces?.some((one) => one.name === nic) && !(await isPluggable(client, key)))
    throw new Fault(
      'Conflict',
      `Interface ${nic} is not in the running instance of VM ${name}; it comes with \`patchbay restart ${name} -n ${namespace}\``,
    )
  const start = performance.now()
  const word = `Link of interface ${nic} of VM ${name} is ${link} in the hypervisor`
  if (linkIn(vmi, nic) === link) return print.line(word)
  print.note(`Waiting up to ${durationText(ms)} for the hypervisor`)
  using watcher = new VmiWatcher(client, key, print)
  const isOver = await watcher.until((running) => !running || linkIn(running, nic) === link, ms)
  if (isOver && watcher.running) return print.line(`${word} after ${durationText(performance.now() - start)}`)
  if (isOver) throw new Fault('Conflict', `VM ${name} stopped; its guest will start with the link ${link}`)
  const why = findCondition(watcher.running?.status?.conditions, 'Synchronized')?.message
  throw new Fault(
    'Timeout',
    `Link of interface ${nic} of VM ${name} is declared ${link}, but not so in the hypervisor after ${durationText(ms)}${why ? `: ${why}` : ''}; see \`kubectl describe vmi ${name} -n ${namespace}\``,
  )
}
