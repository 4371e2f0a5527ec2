import { Event } from '#apis/core/event.ts'
import { Node } from '#apis/core/node.ts'
import { explain, faultKind } from '#base/fault.ts'
import type { Log } from '#base/log.ts'
import { timestamp } from '#base/time.ts'
import type { Client } from '#machinery/client/client.ts'
import { storeKey } from '#machinery/rest/doc.ts'

/** The Event, always the same one: a full store has room for it (`alarmKey`). */
const event = { namespace: 'default', name: 'patchbay-store' }
export const alarmKey = storeKey(Event, event)

/** Interval of the check of the store, milliseconds. */
export const lookMs = 1000

/** Interval at which the Event is repeated while the problem lasts, milliseconds: shorter than the life of an Event. */
const repeatMs = 900_000

const component = 'patchbay-store'
/** Why the event is, unless the store is one that may be out of reach as well. */
const full = 'StoreFull'

type Options = Readonly<{
  /** A client that may write Events. */
  client: Client
  /** Name of the node whose disk the store is on. */
  node: string
  /** The problem of the store, as a sentence with a remedy. */
  problem: () => string | undefined
  /** Of the Event. */
  reason?: string
  log: Log
}>

/**
 * Reports a store that takes no writes by an Event of its node. An Event that could not be written is retried, even after
 * the problem is over: the operator must learn of it.
 */
export class StoreAlarm {
  readonly #options: Options
  /** The last problem. */
  #seen: string | undefined
  /** The Event still to be written. */
  #untold: string | undefined
  #toldMs = Number.NEGATIVE_INFINITY
  #ongoing = false

  constructor(options: Options) {
    this.#options = options
  }

  /** Called periodically; never fails. */
  async look(nowMs: number): Promise<void> {
    const { problem, log } = this.#options
    const now = problem()
    if (now !== undefined && this.#seen === undefined) log.error({ problem: now }, 'The store takes no writes')
    if (now === undefined && this.#seen !== undefined) log.info({}, 'The store takes writes again')
    if (now !== undefined && (this.#seen === undefined || nowMs - this.#toldMs >= repeatMs)) this.#untold = now
    this.#seen = now
    if (this.#untold === undefined || this.#ongoing) return
    this.#ongoing = true
    try {
      await this.#tell(this.#untold, nowMs)
      this.#untold = undefined
      this.#toldMs = nowMs
    } catch (error) {
      log.debug({ cause: explain(error) }, 'Cannot record the event of the full store yet')
    } finally {
      this.#ongoing = false
    }
  }

  async #tell(message: string, nowMs: number): Promise<void> {
    const { client, node, reason = full } = this.#options
    const now = timestamp(nowMs)
    const uid = (await client.get(Node, { name: node }))?.metadata.uid ?? ''
    const said = {
      involvedObject: { apiVersion: 'v1', kind: Node.kind, name: node, uid },
      reason,
      message,
      type: 'Warning',
      lastTimestamp: now,
      source: { component, host: node },
      reportingComponent: component,
      reportingInstance: node,
    } as const
    const again = await client.modify(Event, event, (old) => ({ ...old, ...said, count: (old.count ?? 0) + 1 }))
    if (again) return
    try {
      await client.create(Event, {
        apiVersion: 'v1',
        kind: Event.kind,
        metadata: event,
        ...said,
        count: 1,
        firstTimestamp: now,
      })
    } catch (error) {
      if (faultKind(error) !== 'AlreadyExists') throw error
    }
  }
}
