import type { Pod } from '#apis/core/pod.ts'
import type { MigrationState } from '#apis/kubevirt/migration.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { explain, Fault, faultKind } from '#base/fault.ts'
import { timestamp } from '#base/time.ts'
import { eventually } from '#base/wait.ts'
import { nextMove, type SourceCopy, type TargetCopy } from '#core/migration/outcome.ts'
import { completedState, failedState, moveLimits, withMigrationState } from '#core/migration/state.ts'
import type { Hypervisor, MoveProgress, ObservedDomain } from '#core/ports.ts'
import { type Again, type AgentContext, nameOf } from './context.ts'
import { reportEnd } from './report.ts'

/** How often the target is looked at while the guest stands still, milliseconds. */
const standingMs = 2
/** How soon all of a move is looked at again while it goes on, and while nobody knows where the guest is, milliseconds. */
const underwayMs = 500
const unknownMs = 10
/** How much longer than it may take altogether a guest may take to be seen as arrived after its source has gone, milliseconds. */
const arrivalMs = 60_000
/** How often the source's process is looked for while its hypervisor is asked, milliseconds. */
const lookMs = 4
/** The hypervisor's own calls have deadlines. */
const endlessMs = 2 ** 31 - 1

/** What a domain of the target is of the guest. */
const copies: Readonly<Record<ObservedDomain['state'], TargetCopy>> = {
  moving: 'incoming',
  paused: 'arrived',
  running: 'running',
  'shutting-down': 'ending',
}

/** A move as its agent sees it. */
type Going = Readonly<{
  context: AgentContext
  /** Where the guest comes from. */
  pod: Pod
  vmi: VirtualMachineInstance
  state: MigrationState
  /** The sandbox it goes to. */
  to: string
  /** It is to be called off, because its owner says so or because the instance is to end. */
  isUnwanted: boolean
  signal: AbortSignal
}>

/** What is known of a guest where it comes from, and how far its hypervisor is with sending it. */
type SourceSight = Readonly<{ source: SourceCopy; domain?: ObservedDomain; job?: MoveProgress }>

/**
 * One look at a guest that is being moved, and the one thing to do about it; nothing else is changed about it meanwhile. All
 * decisions are nextMove's. Whoever dies, the next look finds where both copies are.
 */
export async function migrate(
  context: AgentContext,
  pod: Pod,
  vmi: VirtualMachineInstance,
  isUnwanted: boolean,
  signal: AbortSignal,
): Promise<Again> {
  const state = vmi.status?.migrationState
  if (!state) return undefined
  const to = state.targetAttachmentPodUID ?? ''
  return new Mover({
    context,
    pod,
    vmi,
    state,
    to,
    isUnwanted: isUnwanted || state.abortRequested === true,
    signal,
  }).pass()
}

class Mover {
  readonly #going: Going

  constructor(going: Going) {
    this.#going = going
  }

  async pass(): Promise<Again> {
    // The order matters: see nextMove.
    const again = await this.#decide(await this.#targetCopy())
    if (again !== 'standing') return again
    const seen = await this.#arrival()
    const then = seen ? await this.#decide(seen) : 'standing'
    return then === 'standing' ? { againAfterMs: 0 } : then
  }

  /** Does the one thing to do when the target was last seen so. `standing`: nothing, while the guest stands still. */
  async #decide(seen: TargetCopy): Promise<Again | 'standing'> {
    const { context, state, pod, to, isUnwanted, signal } = this.#going
    const uid = state.migrationUid ?? ''
    const { source, domain, job } = await this.#sourceCopy()
    const target = source === 'gone' ? await this.#targetCopy() : seen
    const isUnderway = job !== undefined || context.moves.isPending(uid)
    const isStarted = state.startTimestamp !== undefined
    const isOverdue = this.#elapsedMs() > moveLimits(this.#going.vmi).completionMs + arrivalMs
    const move = isUnwanted && !isStarted ? 'giveUp' : nextMove({ source, target, isUnderway, isStarted, isOverdue })
    const isBad = move === 'lost' || move === 'takeBack' || move === 'giveUp'
    const sight = { seen, source, target, isUnderway, isStarted, isOverdue, isUnwanted }
    context.log[isBad ? 'warn' : 'debug'](
      { domain: nameOf(this.#going.vmi), ...sight, move },
      'Looked at a guest that moves',
    )
    switch (move) {
      case 'start':
        return this.#start(domain)
      case 'wait': {
        if (isUnwanted || (job && this.#isTooLong(context.moves.stalledMs(uid, job, Date.now())))) await this.#abort()
        if (source === 'running' || state.mode === 'Paused') return { againAfterMs: underwayMs }
        return target === 'incoming' ? 'standing' : { againAfterMs: unknownMs }
      }
      case 'handOver':
        return this.#handOver(source)
      case 'takeBack':
        await context.host.processes.kill(to)
        if (state.mode !== 'Paused') await this.#hypervisorOf(pod.metadata.uid ?? '').domain.resume(signal)
        return this.#fail()
      case 'giveUp':
        await context.host.processes.kill(to)
        return this.#fail()
      case 'lost':
        await context.host.processes.kill(to)
        await this.#fail('the guest ended before it was moved')
        await reportEnd(context, pod, this.#going.vmi, 'crashed')
        return undefined
    }
  }

  async #targetCopy(): Promise<TargetCopy> {
    const { context, to, signal } = this.#going
    // One that does not answer has not told that the guest arrived.
    const domain = await context.host.lifecycle
      .hypervisorOf(to)
      ?.domain.observe(signal)
      .catch(() => undefined)
    if (domain) return copies[domain.state]
    return (await context.host.processes.has(to)) ? 'silent' : 'none'
  }

  /** What the target is once it is not on its way any more; undefined when that takes long. */
  async #arrival(): Promise<TargetCopy | undefined> {
    const look = async () => {
      const seen = await this.#targetCopy()
      return seen !== 'incoming' && seen
    }
    const { signal } = this.#going
    return eventually('the guest arrives', look, { deadlineMs: underwayMs, everyMs: standingMs, signal }).catch(
      (fault: unknown) => {
        if (faultKind(fault) !== 'Timeout') throw fault
        return undefined
      },
    )
  }

  /**
   * What its hypervisor tells, or that its process is gone: a hypervisor does not answer while it sees off a guest that has left,
   * and until then the guest would stand still.
   */
  async #sourceCopy(): Promise<SourceSight> {
    const uid = this.#going.pod.metadata.uid ?? ''
    const isGone = async () => !(await this.#going.context.host.processes.has(uid))
    const asked = new AbortController()
    const answer = this.#askSource(uid).finally(() => asked.abort())
    const end = eventually('the source ends', isGone, { deadlineMs: endlessMs, everyMs: lookMs, signal: asked.signal })
    const told = await Promise.race([answer, end.then(() => undefined).catch(() => answer)])
    // What it says to whom nobody listens any more is of no interest.
    answer.catch(() => undefined)
    if (told?.domain) return told
    if (await isGone()) return { source: 'gone' }
    throw new Fault('Unavailable', `The hypervisor of ${nameOf(this.#going.vmi)} does not tell what its guest does`)
  }

  async #askSource(uid: string): Promise<SourceSight | undefined> {
    const { context, signal } = this.#going
    const hypervisor = context.host.lifecycle.hypervisorOf(uid)
    const domain = await hypervisor?.domain.observe(signal)
    if (!domain) return undefined
    const job = await hypervisor?.job.progress(signal)
    const source = domain.state === 'running' || domain.state === 'shutting-down' ? 'running' : 'stopped'
    return { source, domain, ...(job && { job }) }
  }

  /** The next pass tries again when it does not answer. */
  #hypervisorOf(uid: string): Hypervisor {
    const hypervisor = this.#going.context.host.lifecycle.hypervisorOf(uid)
    if (!hypervisor) throw new Fault('Unavailable', `The hypervisor of sandbox ${uid} does not answer`)
    return hypervisor
  }

  async #start(domain: ObservedDomain | undefined): Promise<Again> {
    const { context, pod, vmi, state, to } = this.#going
    const uid = state.migrationUid ?? ''
    const mode = domain?.state === 'paused' ? 'Paused' : 'PreCopy'
    // Written first: whoever finds it later does not start it a second time.
    const written = await this.#write({ startTimestamp: timestamp(), mode, targetNodeDomainDetected: false })
    if (!written) return undefined
    context.log.info({ domain: nameOf(vmi), to: state.targetPod }, 'Moving guest')
    context.recorder(vmi, 'Normal', 'Migrating', 'VirtualMachineInstance is migrating.')
    const hypervisor = this.#hypervisorOf(pod.metadata.uid ?? '')
    const { again } = context
    context.moves.start(
      uid,
      Date.now(),
      () => hypervisor.job.start(uid, to, moveLimits(vmi)),
      () => again(pod),
    )
    return { againAfterMs: underwayMs }
  }

  /** Ends the source for good, then lets the target run: at no time do both. */
  async #handOver(source: SourceCopy): Promise<Again> {
    const { context, pod, vmi, state, to, signal } = this.#going
    const uid = pod.metadata.uid ?? ''
    if (source !== 'gone') await context.host.processes.kill(uid)
    if (state.mode !== 'Paused') await this.#hypervisorOf(to).domain.resume(signal)
    context.log.info({ domain: nameOf(vmi), to: state.targetPod }, 'Guest has moved')
    context.guests.forget(uid)
    context.probes.forget(uid)
    context.memories.forget(uid)
    context.running.delete(uid)
    await this.#write(completedState(state, timestamp()))
    context.moves.forget(state.migrationUid ?? '')
    const node = state.targetNode ?? ''
    context.recorder(vmi, 'Normal', 'Migrated', `The VirtualMachineInstance migrated to node ${node}.`)
    return undefined
  }

  async #abort(): Promise<void> {
    const { context, pod, vmi, state, signal } = this.#going
    const hypervisor = context.host.lifecycle.hypervisorOf(pod.metadata.uid ?? '')
    if (state.abortStatus !== 'Aborting') await this.#write({ abortStatus: 'Aborting' })
    await hypervisor?.job
      .abort(signal)
      .catch((error: unknown) =>
        context.log.warn({ domain: nameOf(vmi), cause: explain(error) }, 'Cannot call a move off yet'),
      )
  }

  #isTooLong(stalledMs: number): boolean {
    const { completionMs, progressMs } = moveLimits(this.#going.vmi)
    return this.#elapsedMs() > completionMs || stalledMs > progressMs
  }

  #elapsedMs(): number {
    return Date.now() - Date.parse(this.#going.state.startTimestamp ?? '')
  }

  async #fail(why?: string): Promise<undefined> {
    const { context, vmi, state } = this.#going
    const uid = state.migrationUid ?? ''
    const reason = why ?? context.moves.failure(uid) ?? 'the hypervisor gave the migration up while nobody watched'
    const timedOut = state.abortStatus === 'Aborting' && !state.abortRequested
    const said = timedOut ? 'it did not come to its end in time (completionTimeoutPerGiB, progressTimeout)' : reason
    context.log.warn({ domain: nameOf(vmi), reason: said }, 'Guest was not moved')
    await this.#write(failedState(state, said, timestamp()))
    context.moves.forget(uid)
    context.recorder(vmi, 'Warning', 'MigrationFailed', `The VirtualMachineInstance was not migrated: ${said}`)
    return undefined
  }

  /** True when it was this migration's to write. */
  async #write(change: Partial<MigrationState>): Promise<boolean> {
    const { context, vmi, state } = this.#going
    let isWritten = false
    await context.client.modify(
      VirtualMachineInstance,
      vmi.metadata,
      (current) => {
        const status = withMigrationState(current.status, state.migrationUid, change)
        isWritten = status !== undefined && current.metadata.uid === vmi.metadata.uid
        return isWritten && status ? { ...current, status } : undefined
      },
      { subresource: 'status' },
    )
    return isWritten
  }
}
