import type { RunStrategy, VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Stored } from '#apis/meta/object.ts'

/** The next action on a VM's instance. `againAfterMs` is when to reconcile again although nothing changed. */
export type PowerAction =
  | Readonly<{ do: 'start' }>
  | Readonly<{ do: 'stop'; uid: string }>
  | Readonly<{ do: 'nothing'; againAfterMs?: number }>

/** Backoff after the first failed start, seconds; doubled for each further failure. */
const firstBackoffSeconds = 10
/** Longest time between starts of a VM that keeps failing (KubeVirt's limit). */
const maxBackoffSeconds = 300

/**
 * The run strategy of a VM: `running` is the old spelling of two strategies; without either it is Halted (facts/kubevirt.md
 * §1.4).
 */
export function runStrategyOf(vm: VirtualMachine): RunStrategy {
  const { runStrategy, running } = vm.spec
  return runStrategy ?? (running ? 'Always' : 'Halted')
}

/** Whether an instance has ended for good. */
export function isFinal(vmi: VirtualMachineInstance): boolean {
  return vmi.status?.phase === 'Succeeded' || vmi.status?.phase === 'Failed'
}

/**
 * Decides by run strategy, pending request and the state of the instance. An ended instance is deleted first; the next pass
 * starts a new one once it is gone.
 */
export function planPower(
  vm: VirtualMachine,
  vmi: Stored<VirtualMachineInstance> | undefined,
  nowMs: number,
): PowerAction {
  if (vmi?.metadata.deletionTimestamp) return { do: 'nothing' }
  const strategy = runStrategyOf(vm)
  const request = vm.status?.stateChangeRequests?.[0]
  if (vm.metadata.deletionTimestamp) return vmi ? stop(vmi) : { do: 'nothing' }
  if (request?.action === 'Stop' && vmi && (request.uid ?? vmi.metadata.uid) === vmi.metadata.uid) return stop(vmi)
  if (request?.action === 'Start') return !vmi ? { do: 'start' } : isFinal(vmi) ? stop(vmi) : { do: 'nothing' }
  if (!vmi) return wantsToRun(vm, strategy) ? startOrWait(vm, nowMs) : { do: 'nothing' }
  if (strategy === 'Halted') return stop(vmi)
  if (!isFinal(vmi)) return { do: 'nothing' }
  const again = strategy === 'Always' || (strategy === 'RerunOnFailure' && vmi.status?.phase === 'Failed')
  return again ? stop(vmi) : { do: 'nothing' }
}

/** Whether a request has been carried out, or needs nothing any more. */
export function isRequestDone(vm: VirtualMachine, vmi: VirtualMachineInstance | undefined): boolean {
  const request = vm.status?.stateChangeRequests?.[0]
  if (!request) return false
  if (request.action === 'Start') return vmi !== undefined && !isFinal(vmi) && !vmi.metadata.deletionTimestamp
  return vmi === undefined || (request.uid !== undefined && request.uid !== vmi.metadata.uid)
}

/** Backoff after a VM's n-th consecutive failed start, milliseconds. */
export function backoffMs(failures: number): number {
  if (failures <= 0) return 0
  return Math.min(firstBackoffSeconds * 2 ** (failures - 1), maxBackoffSeconds) * 1000
}

function wantsToRun(vm: VirtualMachine, strategy: RunStrategy): boolean {
  if (strategy === 'Always' || strategy === 'RerunOnFailure') return true
  // `Once` is started once: a VM that has been started before has a record of it.
  return strategy === 'Once' && vm.status?.created === undefined
}

function startOrWait(vm: VirtualMachine, nowMs: number): PowerAction {
  const retry = vm.status?.startFailure?.retryAfterTimestamp
  const waitMs = retry === undefined ? 0 : Date.parse(retry) - nowMs
  return waitMs > 0 ? { do: 'nothing', againAfterMs: waitMs } : { do: 'start' }
}

function stop(vmi: Stored<VirtualMachineInstance>): PowerAction {
  return { do: 'stop', uid: vmi.metadata.uid }
}
