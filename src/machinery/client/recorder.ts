import { Event } from '#apis/core/event.ts'
import type { ApiObject } from '#apis/meta/object.ts'
import { explain, faultKind } from '#base/fault.ts'
import type { Log } from '#base/log.ts'
import { sha256Hex } from '#base/sha256.ts'
import { timestamp } from '#base/time.ts'
import type { Client } from './client.ts'

/** Tells an object's owner what happened to it. Never fails: an event that cannot be written is logged. */
export type Recorder = (about: ApiObject, type: 'Normal' | 'Warning', reason: string, message: string) => void

/** Who an Event is from: a component, and the host it is on when there is one on each. */
export type Reporter = Readonly<{ component: string; host?: string }>

/** Writes Events in the name of a component. The same thing said again counts up instead of piling up. */
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
    // Two at once said the same for the first time; one event is enough.
    if (faultKind(error) !== 'AlreadyExists') throw error
  }
}

/** How long events are kept, milliseconds (Kubernetes keeps them as long). */
const eventLifeMs = 3600 * 1000

/** Most events of one namespace that are left by a sweep. */
const maxPerNamespace = 5000

/** Deletes events that were not repeated for an hour, and the oldest of a namespace that has too many; whoever made them. */
export async function sweepEvents(client: Client, nowMs: number): Promise<void> {
  const { items } = await client.list(Event)
  const kept = new Map<string, number>()
  const newestFirst = items
    .map((event) => ({ event, seenMs: lastSeen(event, nowMs) }))
    .toSorted((a, b) => b.seenMs - a.seenMs)
  for (const { event, seenMs } of newestFirst) {
    const { namespace } = event.metadata
    const count = (kept.get(namespace) ?? 0) + 1
    kept.set(namespace, count)
    if (nowMs - seenMs > eventLifeMs || count > maxPerNamespace) await client.delete(Event, event.metadata)
  }
}

/** When an event happened last, as far as that can be believed: its times are what its maker says, not so its creation. */
function lastSeen({ metadata, lastTimestamp, eventTime, series }: Event, nowMs: number): number {
  const times = [metadata.creationTimestamp, lastTimestamp, eventTime, series?.lastObservedTime]
  return Math.max(0, ...times.map((time) => Date.parse(time ?? '')).filter((ms) => ms <= nowMs))
}
