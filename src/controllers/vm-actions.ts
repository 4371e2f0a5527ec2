import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { ApiObject, Kind } from '#apis/meta/object.ts'
import { Fault } from '#base/fault.ts'
import { eventually } from '#base/wait.ts'
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
import type { Client, Key } from '#machinery/client/client.ts'
import { type Action, type ActionCall, numberIn } from '#machinery/rest/actions.ts'

/** How long a node's agent may take to pause a guest before the caller is told that it is not done yet, milliseconds. */
const agentMs = 20_000

type Decide = (vm: VirtualMachine, vmi: VirtualMachineInstance | undefined, call: ActionCall) => Verdict

/** The verbs of VMs and instances that virtctl calls: paths, codes and texts are KubeVirt's (facts/kubevirt.md §5.2). */
export function vmActions(client: Client): readonly Action[] {
  const group = { group: 'subresources.kubevirt.io', version: 'v1' }
  const ofVm = (subresource: string, decide: Decide): Action => ({
    at: { ...group, plural: 'virtualmachines' },
    subresource,
    method: 'PUT',
    kind: VirtualMachine.kind,
    run: async (call) => {
      await changePower(client, decide, call)
      return { code: 202 }
    },
  })
  const ofInstance = (subresource: string, paused: boolean): Action => ({
    at: { ...group, plural: 'virtualmachineinstances' },
    subresource,
    method: 'PUT',
    kind: VirtualMachineInstance.kind,
    run: async (call) => {
      await setPaused(client, call, paused)
      return { code: 200 }
    },
  })
  return [
    ofVm('start', (vm, vmi, { input }) => startVerdict(vm, vmi, input.paused === true)),
    ofVm('stop', (vm, vmi, { input }) => stopVerdict(vm, vmi, numberIn(input, 'gracePeriod'))),
    ofVm('restart', (vm, vmi, { input }) => restartVerdict(vm, vmi, numberIn(input, 'gracePeriodSeconds'))),
    ofInstance('pause', true),
    ofInstance('unpause', false),
  ]
}

async function changePower(client: Client, decide: Decide, call: ActionCall): Promise<void> {
  const key = { namespace: call.namespace, name: call.name }
  const vm = await mustGet(client, VirtualMachine, key)
  const vmi = await client.get(VirtualMachineInstance, key)
  const verdict = decide(vm, vmi, call)
  if ('refuse' in verdict) throw refusal(VirtualMachine, call.name, verdict)
  if (call.dryRun) return
  const { runs, requests, graceSeconds } = verdict
  if (graceSeconds !== undefined && vmi)
    await client.modify(VirtualMachineInstance, key, (current) =>
      current.metadata.uid === vmi.metadata.uid
        ? { ...current, spec: { ...current.spec, terminationGracePeriodSeconds: graceSeconds } }
        : undefined,
    )
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
  const key = { namespace: call.namespace, name: call.name }
  const vmi = await mustGet(client, VirtualMachineInstance, key)
  const verdict = paused ? pauseVerdict(vmi) : unpauseVerdict(vmi)
  if ('refuse' in verdict) throw refusal(VirtualMachineInstance, call.name, verdict)
  if (call.dryRun) return
  await client.modify(VirtualMachineInstance, key, (current) => {
    const annotations = { ...current.metadata.annotations, [pausedAnnotation]: String(paused) }
    return { ...current, metadata: { ...current.metadata, annotations } }
  })
  try {
    await eventually(
      'the guest is as asked',
      async () => {
        const now = await client.get(VirtualMachineInstance, key)
        return !now || isTrue(now.status?.conditions, 'Paused') === paused
      },
      { deadlineMs: agentMs, everyMs: 5 },
    )
  } catch (cause) {
    const what = paused ? 'paused' : 'resumed'
    throw new Fault('Timeout', `The agent of the node has not ${what} the guest yet; it will as soon as it can`, {
      cause,
    })
  }
}

async function mustGet<T extends ApiObject>(client: Client, kind: Kind<T>, key: Key): Promise<T> {
  const found = await client.get(kind, key)
  if (found) return found
  const details = { name: key.name, group: kind.group, kind: kind.singular }
  throw new Fault('NotFound', `${kind.singular}.${kind.group} "${key.name}" not found`, { data: { details } })
}

function refusal(
  { singular, group }: Pick<Kind, 'singular' | 'group'>,
  name: string,
  { refuse, text }: Extract<Verdict, { refuse: string }>,
): Fault {
  const details = { name, group, kind: singular }
  if (refuse === 'BadRequest') return new Fault(refuse, text)
  const message =
    refuse === 'Conflict'
      ? `Operation cannot be fulfilled on ${singular}.${group} "${name}": ${text}`
      : `${singular}.${group} "${name}" is forbidden: ${text}`
  return new Fault(refuse, message, { data: { details } })
}
