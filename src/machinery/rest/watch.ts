import type { Kind, Stored } from '#apis/meta/object.ts'
import { isObject, type JsonObject } from '#base/json.ts'
import { timerMs } from '#base/timer.ts'
import type { Change } from '../store/store.ts'
import { sendBookmarks } from './bookmarks.ts'
import { type Doc, docOf } from './doc.ts'
import { eventTypeOf, type ObjectEvent } from './events.ts'
import { inParts } from './json-parts.ts'
import { requireReached } from './list.ts'
import { encodeEvent } from './protobuf-encode.ts'
import type { Registry } from './registry.ts'
import { Rendering } from './render.ts'
import { countOf, flag, invalidOption, type Query } from './request.ts'
import { parseSelectors, type Selector } from './selector.ts'
import { failure } from './status.ts'

/** Where events of a watch go, as they are sent: resolves when the reader has room for more. */
export type Sink = (events: string | Buffer) => Promise<void>

export type WatchRequest = Readonly<{
  namespace: string | undefined
  name: string | undefined
  query: Query
  accept: string | undefined
}>

/** A watch whose request has been understood. */
export type WatchPlan = Readonly<{
  request: WatchRequest
  rendering: Rendering
  selected: Selector
  /** The revision to start after; undefined to begin with what is there now. */
  after: number | undefined
  /** When the client wants it to end. */
  timeoutMs: number | undefined
}>

type EventType = ObjectEvent['type']
/** How an event is sent: a line of JSON, or a frame of protobuf. */
type Sent = string | Buffer
type Writer = (type: EventType, doc: Stored<Doc>) => Sent

/** Parses a watch request, while a refusal is still possible. @throws Fault BadRequest, Invalid, Timeout, NotAcceptable */
export function planWatch(registry: Registry, kind: Kind, request: WatchRequest): WatchPlan {
  const { query, name } = request
  requireMatch(query)
  const byName = ({ metadata }: JsonObject) => name === undefined || (isObject(metadata) && metadata.name === name)
  const bySelectors = parseSelectors(query, kind)
  const seconds = countOf(query, 'timeoutSeconds')
  const after = countOf(query, 'resourceVersion')
  requireReached(registry, after)
  return {
    request,
    rendering: new Rendering(kind, request, 'watch'),
    selected: (object) => byName(object) && bySelectors(object),
    after: after && !flag(query.sendInitialEvents) ? after : undefined,
    timeoutMs: seconds ? timerMs(seconds * 1000) : undefined,
  }
}

/** @throws Fault Invalid for a combination of options that means nothing. */
function requireMatch({ resourceVersionMatch: match, sendInitialEvents }: Query): void {
  const bad = (message: string) => invalidOption('ListOptions', 'resourceVersionMatch', message)
  if (sendInitialEvents === undefined && match)
    throw bad('Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided')
  if (sendInitialEvents !== undefined && match !== 'NotOlderThan')
    throw bad('Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan')
}

/**
 * Streams a watch until the signal aborts. Without a resourceVersion (or with `0`, or with sendInitialEvents)
 * the current objects come first. History that is gone ends the stream with an ERROR event whose Status is 410.
 */
export async function streamWatch(
  registry: Registry,
  kind: Kind,
  plan: WatchPlan,
  sink: Sink,
  signal: AbortSignal,
  everyMs?: number,
): Promise<void> {
  const { request, rendering, selected, timeoutMs } = plan
  const { query, namespace } = request
  const write = writerOf(rendering)
  const ended = new AbortController()
  try {
    let { after } = plan
    if (after === undefined) {
      const { items, revision } = await registry.list(kind, namespace)
      const initial = items.filter(selected)
      for (const part of inParts(initial, (doc) => write('ADDED', doc))) await sink(joined(part))
      if (flag(query.sendInitialEvents))
        await sink(bookmark(rendering, revision, { 'k8s.io/initial-events-end': 'true' }))
      after = revision
    }
    let told = after
    if (flag(query.allowWatchBookmarks)) {
      const tell = (revision: number) => sink(bookmark(rendering, revision))
      const progress = { told: () => told, newest: () => registry.store.revision, tell }
      const timing = {
        endsInMs: timeoutMs,
        signal: AbortSignal.any([signal, ended.signal]),
        ...(everyMs && { everyMs }),
      }
      // It ends by its signal, and a sink that fails has ended the watch as well.
      sendBookmarks(progress, timing).catch(() => undefined)
    }
    for await (const changes of registry.watch(kind, namespace, after, signal)) {
      const events = changes.flatMap((change) => sentOf(change, eventTypeOf(change, selected), write))
      const written = events.length ? sink(joined(events)) : undefined
      // Before there is room again: later changes come after these.
      told = changes.at(-1)?.row.revision ?? told
      await written
    }
  } catch (error) {
    if (signal.aborted) return
    await sink(rendering.event('ERROR', failure(error)))
  } finally {
    ended.abort()
  }
}

/** Encoded changes, by type and writer: most watchers get the same. Dropped with the change. */
const toldEvents = new WeakMap<Change, Map<EventType, Map<Writer, Sent>>>()

/** How a change is sent; nothing outside the watcher's selection. */
function sentOf(change: Change, type: EventType | undefined, write: Writer): readonly Sent[] {
  if (!type) return []
  if (!shared.has(write)) return [write(type, docOf(change.row))]
  const byType = toldEvents.get(change) ?? new Map<EventType, Map<Writer, Sent>>()
  toldEvents.set(change, byType)
  const byWriter = byType.get(type) ?? new Map<Writer, Sent>()
  byType.set(type, byWriter)
  const sent = byWriter.get(write) ?? write(type, docOf(change.row))
  byWriter.set(write, sent)
  return [sent]
}

/** Writers of whole objects, the same for all watchers. */
const plainLine: Writer = (type, object) => `${JSON.stringify({ type, object })}\n`
const plainFrame: Writer = (type, object) => encodeEvent(type, object)
const shared: ReadonlySet<Writer> = new Set([plainLine, plainFrame])

function writerOf(rendering: Rendering): Writer {
  if (rendering.isWhole) return rendering.encoding === 'protobuf' ? plainFrame : plainLine
  return (type, doc) => rendering.event(type, rendering.one(doc))
}

function joined(events: readonly Sent[]): Sent {
  const frames = events.filter((event) => typeof event !== 'string')
  return frames.length ? Buffer.concat(frames) : events.join('')
}

function bookmark(rendering: Rendering, revision: number, annotations?: Record<string, string>): Sent {
  const object = rendering.bookmark({ resourceVersion: String(revision), ...(annotations && { annotations }) })
  return rendering.event('BOOKMARK', object)
}
