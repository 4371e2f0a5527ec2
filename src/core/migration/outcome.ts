/** The guest at the source: gone for good, running, or stopped (paused by its owner, or for the switch-over). */
export type SourceCopy = 'gone' | 'running' | 'stopped'

/**
 * The guest at the target: not there, being received, received completely but not running, running, shutting down, or unknown
 * because a process exists and its hypervisor does not answer.
 */
export type TargetCopy = 'none' | 'incoming' | 'arrived' | 'running' | 'ending' | 'silent'

/** An observation of both copies of a guest that migrates. */
export type CopyObservation = Readonly<{
  source: SourceCopy
  target: TargetCopy
  /** The migration job of the source's hypervisor is running. */
  isUnderway: boolean
  /** The migration job has been started; it is started at most once. */
  isStarted: boolean
  /** The migration has exceeded its time limit. */
  isOverdue: boolean
}>

/**
 * The next action:
 * - `start`: start the migration job at the source; the guest arrives stopped.
 * - `wait`: the hypervisors are working on it.
 * - `switchOver`: kill the source, then resume the target, then complete the migration.
 * - `resumeSource`: kill the target, then resume the source, then fail the migration.
 * - `abort`: kill the target and fail the migration; the source runs.
 * - `lost`: neither copy can run. The guest ended; the run strategy decides whether the VM is restarted.
 */
export type CopyAction = 'start' | 'wait' | 'switchOver' | 'resumeSource' | 'abort' | 'lost'

/**
 * Decides about a guest of which there may be two copies. They must never run at the same time, whichever process dies at
 * whatever moment: the guest arrives stopped, so that only a switch-over starts it at the target, and a switch-over first proves
 * that the source's process is gone. Where libvirt may have resumed the source by itself (it does when it does not learn that the
 * guest arrived), the source runs and the target is killed.
 *
 * The target must have been observed before the source (a source that runs although the guest had arrived was resumed by
 * libvirt), and unless the guest had arrived by then, once more when the source is gone (it may have arrived and the source ended
 * in between).
 */
export function nextAction({ source, target, isUnderway, isStarted, isOverdue }: CopyObservation): CopyAction {
  if (target === 'running') return 'switchOver'
  // The guest runs at the target and shuts down; or a hypervisor ends an incomplete copy, and the source continues.
  if (target === 'ending') return source === 'gone' ? 'switchOver' : 'wait'
  if (target === 'arrived') return source === 'running' ? 'abort' : 'switchOver'
  // A copy that was incomplete when the source died is ended by its own hypervisor; a complete one is yet to be observed as
  // arrived.
  if (source === 'gone') return target === 'none' || isOverdue ? 'lost' : 'wait'
  if (isUnderway) return 'wait'
  if (!isStarted && target === 'none') return 'start'
  return source === 'running' ? 'abort' : 'resumeSource'
}
