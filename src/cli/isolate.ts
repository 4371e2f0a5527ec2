import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Stored } from '#apis/meta/object.ts'
import { Fault, faultKind } from '#base/fault.ts'
import { wantedNics } from '#core/nic/desired.ts'
import { isNetwork } from '#core/nic/nic.ts'
import { findCondition } from '#core/vm/conditions.ts'
import { type Change, isolate, rejoin } from '#core/vm/isolation.ts'
import { isRunning } from '#core/vm/nic-rows.ts'
import type { HttpClient } from '#machinery/client/http-client.ts'
import type { Context } from './context.ts'
import { getVm, type VmKey } from './declare.ts'
import { durationText } from './duration.ts'
import type { LinkOptions } from './link.ts'
import { previewOf } from './preview.ts'
import { linkIn, VmiWatcher } from './vmi-watcher.ts'

type Links = ReadonlyMap<string, 'up' | 'down'>

/** The words of a verb: each follows `VM NAME`. */
const verbs = {
  isolate: { change: isolate, done: 'is isolated', would: 'would be isolated' },
  rejoin: { change: rejoin, done: 'has rejoined its networks', would: 'would rejoin its networks' },
} as const

/** How often a change is tried while others keep changing the VM. */
const maxTries = 20

/** Pulls all cables of a VM at once, or puts back those that were up before. @throws Fault NotFound, Conflict, Invalid, Timeout */
export async function setIsolation(
  context: Context,
  verb: keyof typeof verbs,
  name: string,
  { waitMs, dryRun = false }: LinkOptions,
): Promise<void> {
  const { client, namespace, print } = context
  const key = { namespace, name }
  const { change, done, would } = verbs[verb]
  const { vm, links, already } = await changed(client, key, change, dryRun)
  if (already !== undefined) print.line(already)
  else {
    const preview = dryRun ? await previewOf(client, key, vm) : undefined
    for (const line of preview?.lines ?? []) print.line(line)
    print.line(`VM ${name} ${dryRun ? would : done}: ${textOf(links)}${dryRun ? ' (dry run)' : ''}`)
  }
  if (waitMs !== undefined && !dryRun) await waitForLinks(context, key, connected(vm, links), waitMs)
}

type Changed = Readonly<{ vm: Stored<VirtualMachine>; links: Links; already?: string }>

/** Decides by what the VM is, and again when others have changed it meanwhile. */
async function changed(
  client: HttpClient,
  key: VmKey,
  decide: (vm: VirtualMachine) => Change,
  dryRun: boolean,
): Promise<Changed> {
  for (let tries = 1; ; tries++) {
    const vm = await getVm(client, key)
    const change = decide(vm)
    if ('refuse' in change) throw new Fault('Conflict', change.refuse)
    if ('already' in change) return { vm, links: declaredLinks(vm), already: change.already }
    const { resourceVersion } = vm.metadata
    const patch = { ...change.patch, metadata: { ...change.patch.metadata, resourceVersion } }
    try {
      return { vm: await client.merge(VirtualMachine, key, patch, { dryRun }), links: change.links }
    } catch (error) {
      if (faultKind(error) !== 'Conflict' || tries >= maxTries) throw error
    }
  }
}

function declaredLinks({ spec, metadata }: Stored<VirtualMachine>): Links {
  return new Map(wantedNics(spec.template.spec, metadata.namespace).map(({ name, link }) => [name, link]))
}

/** What an interface that is on no network has declared changes nothing yet: its link is down. */
function connected({ spec, metadata }: Stored<VirtualMachine>, links: Links): Links {
  const on = wantedNics(spec.template.spec, metadata.namespace).filter(({ network }) => isNetwork(network))
  const names = new Set(on.map(({ name }) => name))
  return new Map([...links].filter(([name]) => names.has(name)))
}

function textOf(links: Links): string {
  const parts = (['up', 'down'] as const).flatMap((link) => {
    const names = [...links].filter(([, one]) => one === link).map(([name]) => name)
    return names.length ? [`${link}: ${names.join(', ')}`] : []
  })
  return parts.length ? `links ${parts.join('; ')}` : 'it has no cables'
}

/** Waits until the hypervisor has all links as declared. @throws Fault Timeout, Conflict when the VM stops meanwhile */
async function waitForLinks({ client, print }: Context, key: VmKey, links: Links, ms: number): Promise<void> {
  const { namespace, name } = key
  const first = await client.get(VirtualMachineInstance, key)
  if (!isRunning(first)) return print.line(`VM ${name} is not running; its guest will start with these links`)
  const start = performance.now()
  using watcher = new VmiWatcher(client, key, print)
  const missing = (running: VirtualMachineInstance) =>
    [...links].filter(([nic, link]) => linkIn(running, nic) !== link).map(([nic]) => nic)
  print.note(`Waiting up to ${durationText(ms)} for the hypervisor`)
  const isOver = await watcher.until((running) => !running || !missing(running).length, ms)
  const { running } = watcher
  if (!running) throw new Fault('Conflict', `VM ${name} stopped; its guest will start with these links`)
  if (isOver) {
    print.line(`Links of VM ${name} are so in the hypervisor after ${durationText(performance.now() - start)}`)
    for (const nic of undeclared(running, links))
      print.note(`Interface ${nic} is in the guest and no longer declared; restart the VM to take it out`)
    return
  }
  const why = findCondition(running.status?.conditions, 'Synchronized')?.message
  throw new Fault(
    'Timeout',
    `Links of ${missing(running).join(', ')} of VM ${name} are not as declared in the hypervisor after ${durationText(ms)}${why ? `: ${why}` : ''}; see \`kubectl describe vmi ${name} -n ${namespace}\``,
  )
}

/** Interfaces whose link is up though the VM does not declare them any more: nothing that it declares pulls their cables. */
function undeclared({ status }: VirtualMachineInstance, links: Links): readonly string[] {
  return (status?.interfaces ?? []).flatMap(({ name, linkState }) =>
    name !== undefined && linkState === 'up' && !links.has(name) ? [name] : [],
  )
}
