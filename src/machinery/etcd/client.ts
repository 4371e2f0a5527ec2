import { explain, Fault } from '#base/fault.ts'
import { type Log, silent as silentLog } from '#base/log.ts'
import { delay } from '#base/wait.ts'
import { Choice, type Chosen } from './choice.ts'
import { EtcdFault, isPassing } from './etcd-fault.ts'
import { type EtcdTls, Member } from './member.ts'
import {
  authenticateRequest,
  type EtcdEvent,
  type KeyRange,
  type Method,
  methods,
  watchAnswer,
  watchPath,
  watchRequest,
} from './messages.ts'

export type EtcdOptions = Readonly<{
  /** URLs of members of one cluster. */
  endpoints: readonly string[]
  tls?: EtcdTls
  user?: Readonly<{ name: string; password: string }>
  /** How long a member may take to answer one call, milliseconds. */
  deadlineMs?: number
  log?: Log
}>

/** Long enough for a healthy member on a busy disk, and short enough to try another while a client waits. */
const defaultDeadlineMs = 2000

/** Time for a call with all its attempts: an election of etcd takes about two seconds, and up to six behind a cut link. */
const patienceMs = 5000

/** An attempt for which less time than this is left would only hide what the one before it met, milliseconds. */
const leastMs = 100

/** Pause before a call is made again after a failure that took no time, milliseconds. */
const pauseMs = 50

/** The metadata in which etcd wants the token of a user. */
const tokenHeader = 'token'

/** Events of one or more whole revisions, up to and with `revision`. */
export type WatchBatch = Readonly<{ events: readonly EtcdEvent[]; revision: number }>

/**
 * Calls one member of a cluster, the same one until it fails: a deadline, a lost connection or an Unavailable choose the next.
 * Then everything that goes on with the old one ends as well, watches above all, which could otherwise be silent for ever.
 */
export class EtcdClient {
  readonly #choice: Choice<Member>
  readonly #user: EtcdOptions['user']
  readonly #deadlineMs: number
  readonly #log: Log
  /** The token of the user, once there is one. */
  #token: Promise<string> | undefined
  /** Whether the last member that was asked answered. */
  #isWell = true
  #closed = false

  constructor({ endpoints, tls, user, deadlineMs = defaultDeadlineMs, log = silentLog }: EtcdOptions) {
    this.#choice = new Choice(endpoints.map((url) => new Member(url, tls)))
    this.#user = user
    this.#deadlineMs = deadlineMs
    this.#log = log
  }

  /** The member that is asked next. */
  get endpoint(): string {
    return this.#choice.current.one.url
  }

  /** Asks once. `isUnclear` of what it throws says whether the request may have been carried out. @throws EtcdFault */
  async once<T>({ path, read }: Method<T>, request: Buffer, deadlineMs = this.#deadlineMs): Promise<T> {
    if (this.#closed) throw new Fault('Unavailable', 'The client of etcd is closed')
    const chosen = this.#choice.current
    const token = await this.#currentToken(chosen)
    try {
      const answer = read(await chosen.one.call(path, request, deadlineMs, token.headers))
      this.#noteWell()
      return answer
    } catch (error) {
      this.#note(chosen, error)
      if (error instanceof EtcdFault && error.matter === 'token' && this.#token === token.used) this.#token = undefined
      throw error
    }
  }

  /**
   * Asks until there is an answer or the patience is over, member after member. For what may be carried out twice.
   * @throws EtcdFault
   */
  async call<T>(method: Method<T>, request: Buffer, withinMs = patienceMs): Promise<T> {
    const end = performance.now() + withinMs
    for (;;) {
      const left = Math.ceil(end - performance.now())
      try {
        return await this.once(method, request, Math.max(1, Math.min(this.#deadlineMs, left)))
      } catch (error) {
        if (!isPassing(error) || this.#closed || performance.now() + pauseMs + leastMs >= end) throw error
        await delay(pauseMs)
      }
    }
  }

  /**
   * The events of a range after a revision, at the current member, until the signal aborts.
   * @throws EtcdFault when the stream ends in any other way; `matter` is "compacted" when not all of them are there any more
   */
  async *watch(range: KeyRange, after: number, signal: AbortSignal): AsyncGenerator<WatchBatch, void> {
    const chosen = this.#choice.current
    const { headers } = await this.#currentToken(chosen)
    try {
      // From that revision itself, though it is known: from the next one, etcd 3.4 misses deletes of the revision that was
      // compacted last, instead of ending the watch.
      const request = watchRequest(range, Math.max(1, after))
      // With hasleader a member that is cut off from the others ends the stream, instead of keeping it open and silent.
      const messages = chosen.one.follow(watchPath, request, signal, { ...headers, hasleader: 'true' })
      let events: EtcdEvent[] = []
      for await (const message of messages) {
        const answer = watchAnswer(message)
        if (answer.canceled) throw canceled(chosen.one.url, answer.compactRevision, answer.cancelReason)
        events.push(...answer.events.filter(({ kv }) => kv.modRevision > after))
        const revision = events.at(-1)?.kv.modRevision
        if (answer.isFragment || revision === undefined) continue
        yield { events, revision }
        events = []
      }
    } catch (error) {
      this.#note(chosen, error)
      throw error
    }
  }

  /** Gives the current member up, for a reason that only the caller can see. */
  leave(reason: unknown): void {
    this.#leave(this.#choice.current, reason)
  }

  close(): void {
    this.#closed = true
    for (const member of this.#choice.all) member.drop()
  }

  #note(chosen: Chosen<Member>, error: unknown): void {
    if (isPassing(error) && !this.#closed) this.#leave(chosen, error)
  }

  #leave(chosen: Chosen<Member>, reason: unknown): void {
    if (!this.#choice.failed(chosen)) return
    const { one: member } = chosen
    member.drop()
    const fields = { member: member.url, next: this.endpoint, cause: explain(reason) }
    // One line is enough for as long as none answers.
    if (this.#isWell) this.#log.warn(fields, 'Leaving a member of etcd')
    else this.#log.debug(fields, 'Leaving a member of etcd')
    this.#isWell = false
  }

  #noteWell(): void {
    if (!this.#isWell) this.#log.info({ member: this.endpoint }, 'Etcd answers')
    this.#isWell = true
  }

  async #currentToken(chosen: Chosen<Member>): Promise<{ headers: Record<string, string>; used?: Promise<string> }> {
    if (!this.#user) return { headers: {} }
    this.#token ??= this.#signIn(chosen, this.#user)
    const used = this.#token
    return { headers: { [tokenHeader]: await used }, used }
  }

  async #signIn(chosen: Chosen<Member>, user: { name: string; password: string }): Promise<string> {
    const { path, read } = methods.authenticate
    try {
      return read(await chosen.one.call(path, authenticateRequest(user.name, user.password), this.#deadlineMs))
    } catch (error) {
      this.#token = undefined
      this.#note(chosen, error)
      throw error
    }
  }
}

function canceled(url: string, compactRevision: number, reason: string): EtcdFault {
  if (compactRevision > 0)
    return new EtcdFault({
      kind: 'Expired',
      matter: 'compacted',
      text: `History begins at revision ${compactRevision}`,
    })
  const text = `etcd at ${url} ended a watch`
  return new EtcdFault({ kind: 'Unavailable', text }, new Error(reason || 'it gave no reason'))
}
