import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Stored } from '#apis/meta/object.ts'
import {
  pausedAnnotation,
  pauseVerdict,
  restartVerdict,
  startVerdict,
  stopVerdict,
  unpauseVerdict,
  type Verdict,
  withRuns,
} from '#core/vm/actions.ts'
import { isTrue } from '#core/vm/conditions.ts'
import type { Client } from '#machinery/client/client.ts'
import { modifySame } from '#machinery/client/modify-same.ts'
import { type Action, type ActionCall, numberIn } from '#machinery/rest/actions.ts'
import type { User } from '#machinery/rest/strategy.ts'
import { keyOf, mustGet, putAction, refusal, untilDone } from './action-kit.ts'
import { guestActions } from './guest-actions.ts'
import { migrateAction } from './migrate-action.ts'
import { nicActions } from './nic-actions.ts'

type Decide = (vm: VirtualMachine, vmi: Stored<VirtualMachineInstance> | undefined, call: ActionCall) => Verdict

/**
 * The verbs of VMs and instances that virtctl calls: paths, codes and texts are KubeVirt's (facts/kubevirt.md §5.2). What edits a
 * VM as its owner would is written by the client of whoever asks.
 */
export function vmActions(client: Client, clientAs: (user: User) => Client): readonly Action[] {
  const power = (subresource: string, decide: Decide) =>
    putAction(VirtualMachine, subresource, (call) => changePower(client, decide, call))
  const pause = (subresource: string, paused: boolean) =>
    putAction(VirtualMachineInstance, subresource, (call) => setPaused(client, call, paused))
  return [
    power('start', (vm, vmi, { input }) => startVerdict(vm, vmi, input.paused === true)),
    power('stop', (vm, vmi, { input }) => stopVerdict(vm, vmi, numberIn(input, 'gracePeriod'))),
    power('restart', (vm, vmi, { input }) => restartVerdict(vm, vmi, numberIn(input, 'gracePeriodSeconds'))),
    pause('pause', true),
    pause('unpause', false),
    migrateAction(client),
    ...nicActions(clientAs),
    ...guestActions(client),
  ]
}

async function changePower(client: Client, decide: Decide, call: ActionCall): Promise<void> {
  const key = keyOf(call)
  const vm = await mustGet(client, VirtualMachine, key)
  const vmi = await client.get(VirtualMachineInstance, key)
  const verdict = decide(vm, vmi, call)
  if ('refuse' in verdict) throw refusal(VirtualMachine, call.name, verdict)
  if (call.dryRun) return
  const { runs, requests, graceSeconds } = verdict
  if (graceSeconds !== undefined && vmi)
    await modifySame(client, VirtualMachineInstance, vmi, (current) => ({
      ...current,
      spec: { ...current.spec, terminationGracePeriodSeconds: graceSeconds },
    }))
  // The request first: a VM that runs from now on is to find it.
  if (requests)
    await client.modify(
      VirtualMachine,
      key,
      (current) => ({ ...current, status: { ...current.status, stateChangeRequests: requests } }),
      { subresource: 'status' },
    )
  if (runs !== undefined) await client.modify(VirtualMachine, key, (current) => withRuns(current, runs))
}

async function setPaused(client: Client, call: ActionCall, paused: boolean): Promise<void> {
  const key = keyOf(call)
  const vmi = await mustGet(client, VirtualMachineInstance, key)
  const verdict = paused ? pauseVerdict(vmi) : unpauseVerdict(vmi)
  if ('refuse' in verdict) throw refusal(VirtualMachineInstance, call.name, verdict)
  if (call.dryRun) return
  await client.modify(VirtualMachineInstance, key, (current) => {
    const annotations = { ...current.metadata.annotations, [pausedAnnotation]: String(paused) }
    return { ...current, metadata: { ...current.metadata, annotations } }
  })
  await untilDone(
    client,
    key,
    (now) => !now || isTrue(now.status?.conditions, 'Paused') === paused,
    `The agent of the node has not ${paused ? 'paused' : 'resumed'} the guest yet; it will as soon as it can`,
  )
}
