import type { RunStrategy, VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Stored } from '#apis/meta/object.ts'

/** The one thing to do next about a VM's instance. `again` says when to look again though nothing changed. */
export type PowerAction =
  | Readonly<{ do: 'start' }>
  | Readonly<{ do: 'stop'; uid: string }>
  | Readonly<{ do: 'nothing'; againAfterMs?: number }>

/** Seconds to the second start after a failed one; doubled for each further failure. */
const firstBackoffSeconds = 10
/** Longest time between starts of a VM that keeps failing (KubeVirt's limit). */
const maxBackoffSeconds = 300

/** How a VM should run: `running` is the old spelling of two strategies; neither means Halted (facts/kubevirt.md §1.4). */
export function runStrategyOf(vm: VirtualMachine): RunStrategy {
  const { runStrategy, running } = vm.spec
  return runStrategy ?? (running ? 'Always' : 'Halted')
}

/** An instance that will not run again. */
export function isFinal(vmi: VirtualMachineInstance): boolean {
  return vmi.status?.phase === 'Succeeded' || vmi.status?.phase === 'Failed'
}

/**
 * Decides by run strategy, pending request and what became of the instance. A stopped instance is deleted first; the next
 * pass, which sees it gone, starts a new one.
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

/** A request that has been carried out, or that nothing is left to be done about. */
export function isRequestDone(vm: VirtualMachine, vmi: VirtualMachineInstance | undefined): boolean {
  const request = vm.status?.stateChangeRequests?.[0]
  if (!request) return false
  if (request.action === 'Start') return vmi !== undefined && !isFinal(vmi) && !vmi.metadata.deletionTimestamp
  return vmi === undefined || (request.uid !== undefined && request.uid !== vmi.metadata.uid)
}

/** Milliseconds after a VM's n-th failed start in a row before the next is tried. */
export function backoffMs(failures: number): number {
  if (failures <= 0) return 0
  return Math.min(firstBackoffSeconds * 2 ** (failures - 1), maxBackoffSeconds) * 1000
}

function wantsToRun(vm: VirtualMachine, strategy: RunStrategy): boolean {
  if (strategy === 'Always' || strategy === 'RerunOnFailure') return true
  // Once means once: a VM that has been started before has a record of it.
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
