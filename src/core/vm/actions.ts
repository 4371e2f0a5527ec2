import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Stored } from '#apis/meta/object.ts'
import { findCondition, isTrue } from './conditions.ts'
import { isFinal, runStrategyOf } from './power.ts'

/** On an instance: whether its guest is to be paused, `true` or `false`; absent until that was requested. */
export const pausedAnnotation = 'vmi.patchbay.dev/paused'

type Request = NonNullable<NonNullable<VirtualMachine['status']>['stateChangeRequests']>[number]

/** The result of a verb: a refusal in KubeVirt's words (facts/kubevirt.md §5.2), or what is to be written. */
export type Verdict =
  | Readonly<{ refuse: 'Conflict' | 'BadRequest' | 'Forbidden'; text: string }>
  | Readonly<{
      /** Whether the VM is to run; changes its spec. */
      runs?: boolean
      /** Requests that the controller carries out once. */
      requests?: readonly Request[]
      /** A shorter grace period of the guest, seconds. */
      graceSeconds?: number
    }>

const conflict = (text: string) => ({ refuse: 'Conflict', text }) as const
const underway = conflict('unable to complete request: stop/start already underway')

type Running = Stored<VirtualMachineInstance> | undefined

/** `start` */
export function startVerdict(vm: VirtualMachine, vmi: Running, paused: boolean): Verdict {
  if (vmi && !isFinal(vmi)) return conflict('VM is already running')
  const strategy = runStrategyOf(vm)
  const request: Request = { action: 'Start', ...(paused && { data: { paused: 'true' } }) }
  switch (strategy) {
    case 'Always':
    case 'Once':
      return conflict(`${strategy} does not support manual start requests`)
    case 'RerunOnFailure':
      if (vmi?.status?.phase === 'Failed')
        return conflict('RerunOnFailure does not support starting VM from failed state')
      break
    case 'Halted':
      return { runs: true, ...(paused && { requests: [request] }) }
    case 'Manual':
  }
  return isPending(vm, 'Start') ? underway : { requests: [request] }
}

/** `stop`. `graceSeconds` is the grace period that the caller requests; undefined for the guest's own. */
export function stopVerdict(vm: VirtualMachine, vmi: Running, graceSeconds: number | undefined): Verdict {
  if (graceSeconds !== undefined && !(graceSeconds >= 0))
    return { refuse: 'BadRequest', text: 'gracePeriod has to be greater or equal to 0' }
  const grace = graceSeconds === undefined ? {} : { graceSeconds }
  const strategy = runStrategyOf(vm)
  if (strategy === 'Always' || strategy === 'Once') return { runs: false, ...(vmi && grace) }
  if (!vmi || isFinal(vmi)) return conflict('VM is not running')
  if (strategy === 'Halted') {
    const own = vmi.spec.terminationGracePeriodSeconds
    if (graceSeconds === undefined || (own !== undefined && graceSeconds >= own))
      return conflict('Halted only supports manual stop requests with a shorter graceperiod')
    return grace
  }
  if (isPending(vm, 'Stop')) return underway
  return { requests: [{ action: 'Stop', uid: vmi.metadata.uid }], ...grace }
}

/** `restart` */
export function restartVerdict(vm: VirtualMachine, vmi: Running, graceSeconds: number | undefined): Verdict {
  if (graceSeconds !== undefined && graceSeconds > 0)
    return { refuse: 'BadRequest', text: 'For force restart, only gracePeriod=0 is supported for now' }
  if (graceSeconds !== undefined && !(graceSeconds >= 0))
    return { refuse: 'BadRequest', text: 'gracePeriod has to be greater or equal to 0' }
  const strategy = runStrategyOf(vm)
  // The spelling is KubeVirt's.
  if (strategy === 'Halted' || strategy === 'Once')
    return conflict(`RunStategy ${strategy} does not support manual restart requests`)
  if (!vmi || isFinal(vmi)) return conflict(`VM is not running: ${strategy}`)
  if (isPending(vm, 'Stop')) return underway
  const requests: Request[] = [{ action: 'Stop', uid: vmi.metadata.uid }, { action: 'Start' }]
  return { requests, ...(graceSeconds !== undefined && { graceSeconds }) }
}

/** `pause` of an instance */
export function pauseVerdict(vmi: VirtualMachineInstance): Verdict {
  if (vmi.status?.phase !== 'Running') return conflict('VM is not running')
  const { livenessProbe } = vmi.spec
  if (livenessProbe && !livenessProbe.guestAgentPing)
    return { refuse: 'Forbidden', text: 'Pausing VMIs with a non-GuestAgentPing LivenessProbe is not supported' }
  return isTrue(vmi.status.conditions, 'Paused') ? conflict('VMI is already paused') : {}
}

/** `unpause` of an instance */
export function unpauseVerdict(vmi: VirtualMachineInstance): Verdict {
  if (vmi.status?.phase !== 'Running') return conflict('VMI is not running')
  return findCondition(vmi.status.conditions, 'Paused')?.status === 'True' ? {} : conflict('VMI is not paused')
}

/** `migrate` */
export function migrateVerdict(vmi: VirtualMachineInstance): Verdict {
  return vmi.status?.phase === 'Running' ? {} : conflict('VM is not running')
}

function isPending({ status }: VirtualMachine, action: Request['action']): boolean {
  return status?.stateChangeRequests?.some((request) => request.action === action) ?? false
}

/** The VM with the run state of a verdict, in the field that its owner uses: `running` or `runStrategy`. */
export function withRuns(vm: VirtualMachine, runs: boolean): VirtualMachine {
  const { running, ...spec } = vm.spec
  if (running !== undefined) return { ...vm, spec: { ...spec, running: runs } }
  return { ...vm, spec: { ...spec, runStrategy: runs ? 'Always' : 'Halted' } }
}
