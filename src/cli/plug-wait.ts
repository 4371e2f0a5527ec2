import { Pod } from '#apis/core/pod.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Stored } from '#apis/meta/object.ts'
import { networkStatusIn } from '#apis/net/attachment.ts'
import { Fault } from '#base/fault.ts'
import { delay } from '#base/wait.ts'
import { wantedNics } from '#core/nic/desired.ts'
import { failureOf, isInGuest } from '#core/nic/followed.ts'
import { noNetwork } from '#core/nic/nic.ts'
import { isTrue } from '#core/vm/conditions.ts'
import type { Context } from './context.ts'
import type { NicKey } from './declare.ts'
import { durationText } from './duration.ts'
import { VmiWatcher } from './vmi-watcher.ts'

/** The progress of a change, in words that follow `Interface NIC of VM NAME`. */
type Stage = Readonly<{ text: string; isDone?: boolean }>

/** A condition to wait for. `confirm`, called once the instance meets it, reads what the instance lacks. */
export type Goal = Readonly<{
  stage: (running: Stored<VirtualMachineInstance>, nic: string) => Stage
  confirm?: (running: Stored<VirtualMachineInstance>, nic: string) => Promise<Stage>
}>

/** Interval of polling what no watch reports, milliseconds. */
const askMs = 100

/** The guest has a card, with its link as declared. */
export function plugged(link: 'up' | 'down'): Goal {
  return {
    stage: (running, nic) => {
      const status = statusOf(running, nic)
      if (!specOf(running, nic)) return { text: 'is not in the running instance yet' }
      if (!status) return { text: 'is in the running instance; its sandbox does not have the network yet' }
      if (!isInGuest(status)) return { text: 'has its network in the sandbox; the guest does not have the card yet' }
      if (status.linkState !== link)
        return { text: `is in the hypervisor; its link is ${status.linkState}, not ${link} yet` }
      const { interfaceName, mac } = status
      const isReported = interfaceName !== undefined || !isTrue(running.status?.conditions, 'AgentConnected')
      if (!isReported) return { text: `is in the hypervisor, link ${link}; the guest does not report it yet` }
      const guest = interfaceName ? `; the guest calls it ${interfaceName}` : ''
      return { text: `is in the hypervisor, link ${link}, MAC ${mac}${guest}`, isDone: true }
    },
  }
}

/** Neither guest, sandbox nor instance has the card any more. */
export const unplugged: Goal = {
  stage: (running, nic) => {
    const status = statusOf(running, nic)
    const spec = specOf(running, nic)
    if (spec && !spec.absent) return { text: 'is not absent in the running instance yet' }
    if (status && isInGuest(status)) return { text: 'is still in the guest, which has been asked to let go of it' }
    if (status) return { text: 'has left the guest; its sandbox still has the network' }
    return spec ? { text: 'has left guest and sandbox' } : { text: 'has left guest and sandbox', isDone: true }
  },
}

/** The card is on a network (`namespace/name`), which an annotation of the pod shows. */
export function onNetwork({ client, namespace }: Context, network: string): Goal {
  return {
    stage: (running, nic) =>
      specOf(running, nic)?.network === network
        ? { text: `is on network ${network} in the running instance`, isDone: true }
        : { text: `is not on network ${network} in the running instance yet` },
    confirm: async (running, nic) => {
      const labelSelector = `vm.kubevirt.io/name=${running.metadata.name}`
      const { items } = await client.list(Pod, { namespace, labelSelector })
      const link = statusOf(running, nic)?.podInterfaceName
      const isThere = items
        .filter((pod) => pod.spec.nodeName === running.status?.nodeName)
        .some((pod) =>
          networkStatusIn(pod.metadata.annotations).some((one) => one.name === network && one.interface === link),
        )
      return isThere
        ? { text: `is on network ${network}`, isDone: true }
        : { text: `is not on network ${network} in its sandbox yet` }
    },
  }
}

/** The card is on no network, and its link is down. */
export const offNetworks: Goal = {
  stage: (running, nic) => {
    const status = statusOf(running, nic)
    if (specOf(running, nic)?.network !== noNetwork)
      return { text: 'is not without a network in the running instance yet' }
    const isOff = status && isInGuest(status) && status.podInterfaceName === undefined && status.linkState === 'down'
    return isOff ? { text: 'is on no network, link down', isDone: true } : { text: 'has not left its network yet' }
  },
}

function specOf({ spec, metadata }: Stored<VirtualMachineInstance>, nic: string) {
  return wantedNics(spec, metadata.namespace).find(({ name }) => name === nic)
}

function statusOf({ status }: VirtualMachineInstance, nic: string) {
  return status?.interfaces?.find(({ name }) => name === nic)
}

/**
 * Waits until a change is done, and prints each stage and each error on the way.
 * @throws Fault Timeout, Conflict when the VM stops meanwhile
 */
export async function waitFor({ client, print }: Context, key: NicKey, goal: Goal, ms: number): Promise<void> {
  const { name, nic, namespace } = key
  const start = performance.now()
  const leftMs = () => Math.max(0, ms - (performance.now() - start))
  const what = `Interface ${nic} of VM ${name}`
  const reported = new Set<string>()
  let last: Stage = { text: 'is declared' }
  const report = (stage: Stage) => {
    last = stage
    if (!stage.isDone && !reported.has(stage.text)) print.note(`${what} ${stage.text}`)
    reported.add(stage.text)
    return stage.isDone === true
  }
  using watcher = new VmiWatcher(client, key, print)
  const look = (running: Stored<VirtualMachineInstance> | undefined) => {
    const failure = failureOf(running, nic)
    if (failure && !reported.has(failure)) print.note(`Trouble: ${failure}`)
    reported.add(failure ?? '')
    return !running || report(goal.stage(running, nic))
  }
  while ((await watcher.until(look, leftMs())) && watcher.running && goal.confirm) {
    if (report(await goal.confirm(watcher.running, nic)) || !leftMs()) break
    await delay(Math.min(askMs, leftMs()))
  }
  if (watcher.running && last.isDone)
    return print.line(`${what} ${last.text}, after ${durationText(performance.now() - start)}`)
  if (!watcher.running) throw new Fault('Conflict', `VM ${name} stopped; its guest will start as declared`)
  const why = failureOf(watcher.running, nic)
  throw new Fault(
    'Timeout',
    `${what} ${last.text} after ${durationText(ms)}${why ? `: ${why}` : ''}; see \`kubectl describe vmi ${name} -n ${namespace}\``,
  )
}
