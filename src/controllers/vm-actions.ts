import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Stored } from '#apis/meta/object.ts'
import { sameJson } from '#base/json.ts'
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
import { modifySame } from '#machinery/client/modify-same.ts'
import { type Action, type ActionCall, numberIn } from '#machinery/rest/actions.ts'
import { type ActionContext, keyOf, mustGet, putAction, refusal, untilDone } from './action-kit.ts'
import { guestActions } from './guest-actions.ts'
import { migrateAction } from './migrate-action.ts'
import { nicActions } from './nic-actions.ts'
import { volumeActions } from './volume-actions.ts'

type Decide = (vm: VirtualMachine, vmi: Stored<VirtualMachineInstance> | undefined, call: ActionCall) => Verdict
type Go = Exclude<Verdict, { refuse: string }>

/**
 * The verbs of VMs and instances that virtctl calls: paths, codes and texts are KubeVirt's (facts/kubevirt.md §5.2). Writes
 * the caller could make use the caller's name; writes only the server may make, such as a status, the server's.
 */
export function vmActions(context: ActionContext): readonly Action[] {
  const power = (subresource: string, decide: Decide) =>
    putAction(VirtualMachine, subresource, (call) => changePower(context, decide, call))
  const pause = (subresource: string, paused: boolean) =>
    putAction(VirtualMachineInstance, subresource, (call) => setPaused(context, call, paused))
  return [
    power('start', (vm, vmi, { input }) => startVerdict(vm, vmi, input.paused === true)),
    power('stop', (vm, vmi, { input }) => stopVerdict(vm, vmi, numberIn(input, 'gracePeriod'))),
    power('restart', (vm, vmi, { input }) => restartVerdict(vm, vmi, numberIn(input, 'gracePeriodSeconds'))),
    pause('pause', true),
    pause('unpause', false),
    migrateAction(context),
    ...nicActions(context),
    ...volumeActions(context),
    ...guestActions(context),
  ]
}

/** Decides and writes; decides once more when the VM changed meanwhile in a way that matters. */
async function changePower(context: ActionContext, decide: Decide, call: ActionCall): Promise<void> {
  const { client } = context
  const key = keyOf(call)
  for (;;) {
    const vm = await mustGet(client, VirtualMachine, key)
    const vmi = await client.get(VirtualMachineInstance, key)
    const verdict = decide(vm, vmi, call)
    if ('refuse' in verdict) throw refusal(VirtualMachine, call.name, verdict)
    if (call.dryRun) return
    const isStill = (current: VirtualMachine) => sameJson(decide(current, vmi, call), verdict)
    if (await isWritten(context, call, { verdict, vmi, isStill })) return
  }
}

/** A decision on an instance, and whether a VM as it is now would still lead to it. */
type Decided = Readonly<{
  verdict: Go
  vmi: Stored<VirtualMachineInstance> | undefined
  isStill: (vm: VirtualMachine) => boolean
}>

/** Writes a decision, each part only if it still holds. Resolves to whether all of it was written. */
async function isWritten({ client, clientAs }: ActionContext, call: ActionCall, decided: Decided): Promise<boolean> {
  const { runs, requests, graceSeconds } = decided.verdict
  const { vmi } = decided
  const key = keyOf(call)
  let isSo = true
  const ifStill = (change: (vm: VirtualMachine) => VirtualMachine) => (current: VirtualMachine) => {
    isSo = decided.isStill(current)
    return isSo ? change(current) : undefined
  }
  if (graceSeconds !== undefined && vmi)
    await modifySame(client, VirtualMachineInstance, vmi, (current) => ({
      ...current,
      spec: { ...current.spec, terminationGracePeriodSeconds: graceSeconds },
    }))
  // The request first: a VM that starts running must find it.
  if (requests) {
    const withRequests = (current: VirtualMachine) => ({
      ...current,
      status: { ...current.status, stateChangeRequests: requests },
    })
    if (!(await client.modify(VirtualMachine, key, ifStill(withRequests), { subresource: 'status' }))) return false
  }
  if (!isSo || runs === undefined) return isSo
  const changed = await clientAs(call.user).modify(
    VirtualMachine,
    key,
    ifStill((current) => withRuns(current, runs)),
  )
  return changed !== undefined && isSo
}

async function setPaused(context: ActionContext, call: ActionCall, paused: boolean): Promise<void> {
  const { client } = context
  const key = keyOf(call)
  const vmi = await mustGet(client, VirtualMachineInstance, key)
  const decide = (current: VirtualMachineInstance) => {
    const verdict = paused ? pauseVerdict(current) : unpauseVerdict(current)
    if ('refuse' in verdict) throw refusal(VirtualMachineInstance, call.name, verdict)
  }
  decide(vmi)
  if (call.dryRun) return
  const requested = await client.modify(VirtualMachineInstance, key, (current) => {
    decide(current)
    const annotations = { ...current.metadata.annotations, [pausedAnnotation]: String(paused) }
    return { ...current, metadata: { ...current.metadata, annotations } }
  })
  // The instance is gone meanwhile, and the VM runs no other.
  if (!requested) return
  await untilDone(
    context,
    call,
    requested,
    (now) => !now || isTrue(now.status?.conditions, 'Paused') === paused,
    `The agent of the node has not ${paused ? 'paused' : 'resumed'} the guest yet; it will as soon as it can`,
  )
}
