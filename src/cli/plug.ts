import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { Stored } from '#apis/meta/object.ts'
import { NetworkAttachmentDefinition } from '#apis/net/attachment.ts'
import { Fault, faultKind } from '#base/fault.ts'
import { multusKey } from '#core/nic/desired.ts'
import { effectiveLink, isNetwork } from '#core/nic/nic.ts'
import { type NewNic, type NicEdit, nicOperations, withNetwork, withNic, withoutNic } from '#core/vm/edit-nics.ts'
import { isIsolated } from '#core/vm/isolation.ts'
import { parkedLink } from '#core/vm/parking.ts'
import type { Preview } from '#core/vm/preview.ts'
import type { HttpClient } from '#machinery/client/http-client.ts'
import type { Context } from './context.ts'
import { getVm, type NicKey, patchVm } from './declare.ts'
import { type Goal, offNetworks, onNetwork, plugged, unplugged, waitFor } from './plug-wait.ts'
import { previewOf } from './preview.ts'

export type PlugOptions = Readonly<{
  /** How long to wait for the guest; undefined not to wait. */
  waitMs?: number
  dryRun?: boolean
}>

/** An edit of one interface, and its words: each follows `Interface NIC of VM NAME`. */
type Change = Readonly<{
  edit: (vm: Stored<VirtualMachine>, isRunning: boolean) => NicEdit
  declared: string
  already: string
  would: string
  /** Follows `VM NAME is not running; its guest`. */
  atStart: string
  goal: Goal
}>

type Target = readonly [vm: string, nic: string]

/** Adds a card to a VM, running or not. @throws Fault NotFound, Conflict, Invalid, Timeout */
export async function plug(
  context: Context,
  [name, nic]: Target,
  card: Omit<NewNic, 'name'>,
  options: PlugOptions,
): Promise<void> {
  const { network } = card
  await requireNetwork(context, network)
  const { client, namespace } = context
  // One that is parked comes back with the link it had.
  const vm = await getVm(client, { namespace, name })
  const isHeld = isIsolated(vm)
  const link = isHeld ? 'down' : (card.link ?? parkedLink(vm, nic))
  if (isHeld) context.print.note(`VM ${name} is isolated; the cable stays pulled until \`patchbay rejoin ${name}\``)
  await change(context, [name, nic], options, {
    edit: (vm) => withNic(vm, { ...card, name: nic }),
    declared: `is declared, on network ${network}, link ${link}`,
    already: 'is declared already',
    would: `would be plugged into network ${network}, link ${link}`,
    atStart: 'will start with it',
    goal: plugged(effectiveLink(link, multusKey(network, namespace))),
  })
}

/** Removes a card from a VM, running or not. @throws Fault NotFound, Conflict, Invalid, Timeout */
export function unplug(context: Context, target: Target, options: PlugOptions): Promise<void> {
  return change(context, target, options, {
    edit: (vm, isRunning) => withoutNic(vm, target[1], isRunning),
    declared: 'is declared absent',
    already: 'is declared absent already',
    would: 'would be unplugged',
    atStart: 'will start without it',
    goal: unplugged,
  })
}

/** Moves a card to another network; the guest keeps it. @throws Fault NotFound, Conflict, Invalid, Timeout */
export async function rewire(context: Context, target: Target, network: string, options: PlugOptions): Promise<void> {
  await requireNetwork(context, network)
  const key = multusKey(network, context.namespace)
  const place = isNetwork(key) ? `network ${network}` : 'no network'
  await change(context, target, options, {
    edit: (vm) => withNetwork(vm, target[1], network),
    declared: `is declared to be on ${place}`,
    already: `is declared to be on ${place} already`,
    would: `would be put on ${place}`,
    atStart: `will start on ${place}`,
    goal: isNetwork(key) ? onNetwork(context, key) : offNetworks,
  })
}

async function change(
  context: Context,
  [name, nic]: Target,
  { waitMs, dryRun = false }: PlugOptions,
  { edit, declared, already, would, atStart, goal }: Change,
): Promise<void> {
  const { client, namespace, print } = context
  const key = { namespace, name, nic }
  const isRunning = (await previewOf(client, key, await getVm(client, key))) !== undefined
  let isChanged = false
  const decide = (vm: Stored<VirtualMachine>) => {
    const wanted = edit(vm, isRunning)
    if ('refuse' in wanted) throw new Fault(wanted.refuse, wanted.text)
    isChanged = wanted.vm !== vm
    return isChanged ? nicOperations(vm, wanted.vm) : undefined
  }
  const after = await patchVm(client, key, decide, { dryRun })
  const preview = await previewOf(client, key, after)
  if (dryRun && isChanged) printPreview(context, key, preview)
  const what = isChanged ? (dryRun ? `${would} (dry run)` : declared) : already
  print.line(`Interface ${nic} of VM ${name} ${what}`)
  if (dryRun) return
  if (!preview) return print.line(`VM ${name} is not running; its guest ${atStart}`)
  requireLive(key, preview, waitMs !== undefined, print)
  if (waitMs !== undefined) await waitFor(context, key, goal, waitMs)
}

/** Shows the effect of the change on the running guest. */
function printPreview({ print }: Context, { name }: NicKey, preview: Preview | undefined): void {
  if (!preview) {
    print.line(`VM ${name} is not running; nothing is done to a guest`)
    return
  }
  for (const line of preview.lines) print.line(line)
  const { free, total } = preview.running.status?.pciPorts ?? {}
  const plugs = preview.plan.steps.filter((step) => step.do === 'plug').length
  if (free !== undefined && free < plugs)
    print.line(`its guest has ${free} of ${total} ports free; unplug another card first, or restart the VM`)
}

/** Notes what needs a restart. @throws Fault Conflict when the command is to wait for that */
function requireLive({ name, nic, namespace }: NicKey, { plan }: Preview, isWaiting: boolean, print: Context['print']) {
  if (!plan.needs.some((need) => need.nic === nic)) return
  const text = `Interface ${nic} of VM ${name} changes with a restart; do so with \`patchbay restart ${name} -n ${namespace}\``
  if (isWaiting) throw new Fault('Conflict', text)
  print.note(text)
}

/** @throws Fault NotFound that lists the existing networks */
async function requireNetwork({ client, namespace: own }: Context, network: string): Promise<void> {
  if (!isNetwork(network)) return
  const [namespace = own, name = ''] = network.includes('/') ? network.split('/') : [own, network]
  try {
    if (await client.get(NetworkAttachmentDefinition, { namespace, name })) return
  } catch (error) {
    // Permission to use it does not need permission to get it.
    if (faultKind(error) === 'Forbidden') return
    throw error
  }
  throw new Fault(
    'NotFound',
    `There is no NetworkAttachmentDefinition ${name} in namespace ${namespace} for --network; there are: ${await networksIn(client, namespace)}`,
  )
}

async function networksIn(client: HttpClient, namespace: string): Promise<string> {
  const { items } = await client.list(NetworkAttachmentDefinition, { namespace })
  return items.map(({ metadata }) => metadata.name).join(', ') || 'none; create one with kubectl'
}
