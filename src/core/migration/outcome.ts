/** The guest where it comes from: gone for good, running, or not running (paused by its owner, or for the switch-over). */
export type SourceCopy = 'gone' | 'running' | 'stopped'

/**
 * The guest where it goes to: not there, on its way, all there but not running, running, shutting down, or there while its
 * hypervisor does not answer, so that nobody knows.
 */
export type TargetCopy = 'none' | 'incoming' | 'arrived' | 'running' | 'ending' | 'silent'

/** What is seen of a guest that moves. */
export type CopyObservation = Readonly<{
  source: SourceCopy
  target: TargetCopy
  /** The source's hypervisor is working on the migration. */
  isUnderway: boolean
  /** The migration has been started once; it is not started again. */
  isStarted: boolean
  /** It has taken longer than it may. */
  isOverdue: boolean
}>

/**
 * The one thing to do next:
 * - `start`: have the source's hypervisor move the guest; it arrives stopped.
 * - `wait`: somebody else is at it.
 * - `switchOver`: end the source for good, then let the target run, then call the migration completed.
 * - `resumeSource`: end the target for good, then let the source run, then call the migration failed.
 * - `abort`: end the target; the source runs. The migration failed.
 * - `lost`: neither can go on. The guest ended; what becomes of its VM is for its run strategy to say.
 */
export type CopyAction = 'start' | 'wait' | 'switchOver' | 'resumeSource' | 'abort' | 'lost'

/**
 * Decides about a guest of which there may be two copies. Two running ones must never be, whoever dies in whatever moment:
 * the hypervisors are told to leave the guest stopped when it arrives, so that only a hand-over starts it there, and a
 * hand-over first sees the source's process gone. Where libvirt may give the guest back to the source by itself (it does
 * when it does not hear that the guest arrived), the source runs and the target is ended.
 *
 * The target must have been looked at before the source (a source that runs although the target had arrived was given its
 * guest back), and once more when the source is gone (the guest may have arrived and the source been let go in between).
 */
export function nextAction({ source, target, isUnderway, isStarted, isOverdue }: CopyObservation): CopyAction {
  if (target === 'running') return 'switchOver'
  // It ran, and its guest shuts down; or a hypervisor ends what was on its way, and the source goes on.
  if (target === 'ending') return source === 'gone' ? 'switchOver' : 'wait'
  if (target === 'arrived') return source === 'running' ? 'abort' : 'switchOver'
  // What did not arrive before its source died is ended by its own hypervisor; what did has yet to be seen as arrived.
  if (source === 'gone') return target === 'none' || isOverdue ? 'lost' : 'wait'
  if (isUnderway) return 'wait'
  if (!isStarted && target === 'none') return 'start'
  return source === 'running' ? 'abort' : 'resumeSource'
}
