import type { Pod } from '#apis/core/pod.ts'
import type { MigrationState, SourceObservation, TargetObservation } from '#apis/kubevirt/migration.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { explain, Fault } from '#base/fault.ts'
import { delay, eventually } from '#base/wait.ts'
import { mayCarryOut, sideOf } from '#core/migration/directive.ts'
import { nextAction, type SourceCopy, type TargetCopy } from '#core/migration/outcome.ts'
import { migrationLimits, withMigrationState, withoutDevices } from '#core/migration/state.ts'
import type { Hypervisor, MigrationProgress, ObservedDomain } from '#core/ports.ts'
import { modifySame } from '#machinery/client/modify-same.ts'
import { type Again, type AgentContext, nameOf } from './context.ts'
import { copyAt } from './migration-target.ts'

/**
 * Interval of the checks of the target while the guest is stopped for the switch-over, milliseconds: until its hypervisor reports a
 * change, and afterwards. More checks before would take the processor from the transfer.
 */
const transferPollMs = 10
const arrivalPollMs = 1
/** Interval of the observations during a migration, and while the guest may be at either side; milliseconds. */
const underwayMs = 500
const unknownMs = 10
/** Interval of the checks for the source's process while the hypervisor is being called, milliseconds. */
const lookMs = 1
/** No deadline: the calls of the hypervisor have their own. */
const endlessMs = 2 ** 31 - 1

/** The guest at its source, and the progress of its migration job. */
type ObservedSource = Readonly<{ source: SourceCopy; state?: ObservedDomain['state']; job?: MigrationProgress }>

/**
 * One pass over a guest that migrates away from this sandbox: executes the controller's last step if it is for the source and
 * new, and publishes the state afterwards. The switch-over is decided here and not by the controller: the guest is stopped during
 * it, for milliseconds. Nothing else of the guest is changed during a migration.
 */
export async function migrateAway(
  context: AgentContext,
  pod: Pod,
  vmi: VirtualMachineInstance,
  signal: AbortSignal,
): Promise<Again> {
  const state = vmi.status?.migrationState
  if (!state) return undefined
  return new MigrationSource(context, pod, vmi, state, signal).pass()
}

class MigrationSource {
  readonly #context: AgentContext
  readonly #pod: Pod
  readonly #vmi: VirtualMachineInstance
  readonly #state: MigrationState
  readonly #signal: AbortSignal
  readonly #uid: string
  readonly #to: string
  readonly #migration: string

  constructor(
    context: AgentContext,
    pod: Pod,
    vmi: VirtualMachineInstance,
    state: MigrationState,
    signal: AbortSignal,
  ) {
    this.#context = context
    this.#pod = pod
    this.#vmi = vmi
    this.#state = state
    this.#signal = signal
    this.#uid = pod.metadata.uid ?? ''
    this.#to = state.targetAttachmentPodUID ?? ''
    this.#migration = state.migrationUid ?? ''
  }

  async pass(): Promise<Again> {
    const { step, source } = this.#state
    const isNew = step !== undefined && (source?.generation ?? -1) < step.generation
    if (isNew && step.do === 'send') return this.#send()
    if (isNew && sideOf[step.do] === 'source') await this.#carryOut(step.do)
    if (step?.do === 'send' || step?.do === 'recall') return this.#follow(step.do === 'recall')
    await this.#publish(await this.#look())
    return undefined
  }

  /** Publishes the generation before the job is started, so that the job is started at most once. */
  async #send(): Promise<Again> {
    const { log, recorder, migrationJobs, again } = this.#context
    const observed = await this.#look()
    if (!(await this.#publish(observed, true)) || observed.source === 'gone') return undefined
    log.info({ domain: nameOf(this.#vmi), to: this.#state.targetPod }, 'Migrating guest')
    recorder(this.#vmi, 'Normal', 'Migrating', 'VirtualMachineInstance is migrating.')
    const { job } = this.#hypervisorOf(this.#uid)
    const limits = migrationLimits(this.#vmi)
    const send = () => job.start(this.#migration, this.#to, limits)
    migrationJobs.start(this.#migration, Date.now(), send, () => again(this.#pod))
    return { againAfterMs: underwayMs }
  }

  async #carryOut(step: 'recall' | 'endSource' | 'resumeSource' | string): Promise<void> {
    const { source } = await this.#look()
    if (step === 'endSource' && mayCarryOut(step, { source })) await this.#context.host.processes.kill(this.#uid)
    // The target has been ended: its process must be gone.
    if (step === 'resumeSource' && !(await this.#context.host.processes.has(this.#to)))
      await this.#hypervisorOf(this.#uid).domain.resume(this.#signal)
  }

  /** Follows a migration job until the guest runs at the target or the job has ended. */
  async #follow(isRecalled: boolean): Promise<Again> {
    // The target is observed before the source: see nextAction.
    const again = await this.#decide(await copyAt(this.#context, this.#to, this.#signal), isRecalled)
    if (again !== 'downtime') return again
    const seen = await this.#arrival()
    const then = seen ? await this.#decide(seen, isRecalled) : 'downtime'
    return then === 'downtime' ? { againAfterMs: 0 } : then
  }

  /**
   * Executes the next action, given the last observation of the target. Resolves to `downtime` when there is none while the guest
   * is stopped for the switch-over.
   */
  async #decide(seen: TargetCopy, isRecalled: boolean): Promise<Again | 'downtime'> {
    const observed = await this.#look()
    const { source, job } = observed
    // A guest that has arrived stays stopped until it is resumed, so that it need not be observed again.
    const isUnknown = source === 'gone' && seen !== 'arrived'
    const target = isUnknown ? await copyAt(this.#context, this.#to, this.#signal) : seen
    const isUnderway = this.#isUnderway(observed)
    const action = nextAction({ source, target, isUnderway, isStarted: true, isOverdue: false })
    this.#context.log.debug(
      { domain: nameOf(this.#vmi), seen, source, target, isUnderway, isRecalled, action },
      'Observed a guest that migrates',
    )
    if (action === 'switchOver') return this.#switchOver(source)
    if (isUnderway && isRecalled) await this.#recall()
    if (action === 'wait' && source !== 'running' && this.#state.mode !== 'Paused') {
      if (target === 'incoming') return 'downtime'
      if (isUnderway) return { againAfterMs: unknownMs }
    }
    const isLate = isUnderway && job !== undefined && this.#isTooLong(job)
    await this.#publish(observed, isUnderway, isLate)
    return isUnderway ? { againAfterMs: underwayMs } : undefined
  }

  /** Kills the source, then resumes the target: they never run at the same time. */
  async #switchOver(source: SourceCopy): Promise<Again> {
    const { host, guests, probes, memories, migrationJobs, running, log } = this.#context
    if (source !== 'gone') await host.processes.kill(this.#uid)
    if (this.#state.mode !== 'Paused') await this.#hypervisorOf(this.#to).domain.resume(this.#signal)
    log.info({ domain: nameOf(this.#vmi), to: this.#state.targetPod }, 'Guest has migrated')
    for (const one of [guests, probes, memories]) one.forget(this.#uid)
    running.delete(this.#uid)
    await this.#write(this.#sourceOf({ source: 'gone' }, false), await copyAt(this.#context, this.#to, this.#signal))
    migrationJobs.forget(this.#migration)
    return undefined
  }

  /**
   * The state of the target once the guest has arrived or the transfer has ended; undefined when that takes longer than one
   * interval.
   */
  async #arrival(): Promise<TargetCopy | undefined> {
    let everyMs = transferPollMs
    let wake = new AbortController()
    const unlisten = this.#context.host.lifecycle.onChange((uid) => {
      if (uid !== this.#to) return
      everyMs = arrivalPollMs
      wake.abort()
    })
    try {
      for (const end = performance.now() + underwayMs; performance.now() < end; wake = new AbortController()) {
        const seen = await copyAt(this.#context, this.#to, this.#signal)
        if (seen !== 'incoming') return seen
        this.#signal.throwIfAborted()
        // A change is looked at at once.
        await delay(everyMs, wake.signal).catch(() => undefined)
      }
      return undefined
    } finally {
      unlisten()
    }
  }

  /**
   * Asks the hypervisor and looks for the process at the same time: libvirtd does not answer while it cleans up a guest that has
   * left, and waiting for it would lengthen the downtime.
   */
  async #look(): Promise<ObservedSource> {
    const isGone = async () => !(await this.#context.host.processes.has(this.#uid))
    const asked = new AbortController()
    const answer = this.#ask().finally(() => asked.abort())
    const end = eventually('the source ends', isGone, { deadlineMs: endlessMs, everyMs: lookMs, signal: asked.signal })
    const seen = await Promise.race([answer, end.then(() => ({ source: 'gone' }) as const).catch(() => answer)])
    // Ignore a late rejection: the race is decided.
    answer.catch(() => undefined)
    if (seen) return seen
    if (await isGone()) return { source: 'gone' }
    throw new Fault('Unavailable', `The hypervisor of ${nameOf(this.#vmi)} does not report the state of its guest`)
  }

  async #ask(): Promise<ObservedSource | undefined> {
    // Resolves at once unless this process has just started.
    const hypervisor = await this.#context.host.lifecycle.connect(this.#uid, this.#signal)
    // Its cards and disks are not asked for: that takes longer, and the guest may be stopped for the switch-over.
    const state = await hypervisor?.job.guestState(this.#signal)
    if (!state) return undefined
    const job = await hypervisor?.job.progress(this.#signal)
    const source = state === 'running' || state === 'shutting-down' ? 'running' : 'stopped'
    return { source, state, ...(job && { job }) }
  }

  #isUnderway({ job }: ObservedSource): boolean {
    return job !== undefined || this.#context.migrationJobs.isPending(this.#migration)
  }

  /** @throws Fault Unavailable when it does not answer; the next pass tries again */
  #hypervisorOf(uid: string): Hypervisor {
    const hypervisor = this.#context.host.lifecycle.hypervisorOf(uid)
    if (!hypervisor) throw new Fault('Unavailable', `The hypervisor of sandbox ${uid} does not answer`)
    return hypervisor
  }

  async #recall(): Promise<void> {
    await this.#context.host.lifecycle
      .hypervisorOf(this.#uid)
      ?.job.abort(this.#signal)
      .catch((error: unknown) =>
        this.#context.log.warn({ domain: nameOf(this.#vmi), cause: explain(error) }, 'Cannot abort a migration yet'),
      )
  }

  #isTooLong(job: MigrationProgress): boolean {
    const { completionMs, progressMs } = migrationLimits(this.#vmi)
    const elapsedMs = Date.now() - Date.parse(this.#state.startTimestamp ?? '')
    return (
      elapsedMs > completionMs || this.#context.migrationJobs.stalledMs(this.#migration, job, Date.now()) > progressMs
    )
  }

  #sourceOf({ source, state }: ObservedSource, isUnderway: boolean, isLate = false): SourceObservation {
    const failure = isUnderway ? undefined : this.#context.migrationJobs.failure(this.#migration)
    return {
      generation: this.#state.step?.generation ?? 0,
      sequence: 0,
      guest: source,
      isUnderway,
      ...(state === 'paused' && !isUnderway && { isPaused: true }),
      ...(isLate && { isLate }),
      ...(failure !== undefined && { failure }),
    }
  }

  /**
   * Publishes an observation unless it is published already. Resolves to false when the instance has another migration by now.
   */
  async #publish(observed: ObservedSource, isUnderway = this.#isUnderway(observed), isLate = false): Promise<boolean> {
    return this.#write(this.#sourceOf(observed, isUnderway, isLate))
  }

  async #write(seen: SourceObservation, copy?: TargetObservation['guest']): Promise<boolean> {
    let isWritten = false
    await modifySame(
      this.#context.client,
      VirtualMachineInstance,
      { metadata: { ...this.#vmi.metadata, uid: this.#vmi.metadata.uid ?? '' } },
      (current) => {
        const old = current.status?.migrationState?.source
        const sequence = (old?.sequence ?? 0) + (old && isSame(old, seen) ? 0 : 1)
        const { generation } = seen
        const status = withMigrationState(current.status, this.#migration, {
          source: { ...seen, sequence },
          ...(copy && { target: { generation, sourceSequence: sequence, guest: copy } }),
        })
        isWritten = status !== undefined
        if (!status) return undefined
        return { ...current, status: seen.isUnderway ? withoutDevices(status, current.spec) : status }
      },
      { subresource: 'status' },
    )
    return isWritten
  }
}

/** Whether two observations are equal but for their sequence numbers. */
function isSame({ sequence: _, ...a }: SourceObservation, { sequence: _b, ...b }: SourceObservation): boolean {
  return JSON.stringify(Object.entries(a).sort()) === JSON.stringify(Object.entries(b).sort())
}
