import { Event, isAuditEntry } from '#apis/core/event.ts'
import type { ApiObject } from '#apis/meta/object.ts'
import { explain, faultKind } from '#base/fault.ts'
import type { Log } from '#base/log.ts'
import { sha256Hex } from '#base/sha256.ts'
import { timestamp } from '#base/time.ts'
import type { Client } from './client.ts'

/** Records an Event about an object. Never fails: an Event that cannot be written is logged. */
export type Recorder = (about: ApiObject, type: 'Normal' | 'Warning', reason: string, message: string) => void

/** The source of an Event: a component, and its host when there is one on each. */
export type Reporter = Readonly<{ component: string; host?: string }>

/** Records Events in the name of a component. A repeated Event counts up instead of piling up. */
export function makeRecorder(client: Client, reporter: Reporter, log: Log): Recorder {
  return (about, type, reason, message) => {
    record(client, reporter, about, type, reason, message).catch((error: unknown) => {
      log.warn({ object: about.metadata.name, reason, cause: explain(error) }, 'Cannot record event')
    })
  }
}

async function record(
  client: Client,
  reporter: Reporter,
  about: ApiObject,
  type: 'Normal' | 'Warning',
  reason: string,
  message: string,
): Promise<void> {
  const { component, host } = reporter
  const { name, namespace = 'default', uid = '' } = about.metadata
  const key = {
    namespace,
    name: `${name}.${sha256Hex(`${uid} ${component} ${host ?? ''} ${reason} ${message}`).slice(0, 16)}`,
  }
  const now = timestamp()
  const counted = await client.modify(Event, key, (event) => ({
    ...event,
    count: (event.count ?? 1) + 1,
    lastTimestamp: now,
  }))
  if (counted) return
  try {
    await client.create(Event, {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: key,
      involvedObject: { apiVersion: about.apiVersion, kind: about.kind, namespace, name, uid },
      reason,
      message,
      type,
      count: 1,
      firstTimestamp: now,
      lastTimestamp: now,
      source: reporter,
      reportingComponent: component,
      ...(host !== undefined && { reportingInstance: host }),
    })
  } catch (error) {
    // Two concurrent first Events are the same; one is enough.
    if (faultKind(error) !== 'AlreadyExists') throw error
  }
}

/** How long Events are kept, milliseconds (as in Kubernetes). */
const eventLifeMs = 3600 * 1000
/** How long entries of an audit log are kept unless an operator says otherwise, milliseconds. */
const entryLifeMs = 30 * 24 * 3600 * 1000

/** Most Events of one namespace that a cleanup leaves, and most entries of its audit log. */
const maxPerNamespace = 5000

/** Deletes Events not repeated for an hour, entries of an audit log after their time, and the oldest of a namespace with too many. */
export async function sweepEvents(client: Client, nowMs: number, keptMs = entryLifeMs): Promise<void> {
  const lifeMs = { event: eventLifeMs, entry: keptMs } as const
  const { items } = await client.list(Event)
  const kept = new Map<string, number>()
  const newestFirst = items
    .map((event) => ({ event, seenMs: lastSeen(event, nowMs) }))
    .toSorted((a, b) => b.seenMs - a.seenMs)
  for (const { event, seenMs } of newestFirst) {
    const kind = isAuditEntry(event) ? 'entry' : 'event'
    const group = `${kind} ${event.metadata.namespace}`
    const count = (kept.get(group) ?? 0) + 1
    kept.set(group, count)
    if (nowMs - seenMs > lifeMs[kind] || count > maxPerNamespace) await client.delete(Event, event.metadata)
  }
}

/** The plausible time of an Event's last occurrence: its times are its source's claim, its creation is not. */
function lastSeen({ metadata, lastTimestamp, eventTime, series }: Event, nowMs: number): number {
  const times = [metadata.creationTimestamp, lastTimestamp, eventTime, series?.lastObservedTime]
  return Math.max(0, ...times.map((time) => Date.parse(time ?? '')).filter((ms) => ms <= nowMs))
}
