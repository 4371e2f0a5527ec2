import type { Kind } from '#apis/meta/object.ts'
import { apiVersionOf } from '#apis/meta/object.ts'
import { Fault } from '#base/fault.ts'
import type { JsonObject } from '#base/json.ts'
import { eventOf } from './events.ts'
import type { Doc, Registry } from './registry.ts'
import { flag, type Query, wantsTable } from './request.ts'
import { parseFieldSelector, parseLabelSelector } from './selector.ts'
import { failure } from './status.ts'
import { tableOf } from './table.ts'

/** Where watch lines go: resolves when the reader has room for more. */
export type Sink = (text: string) => Promise<void>

type WatchRequest = Readonly<{
  namespace: string | undefined
  name: string | undefined
  query: Query
  accept: string | undefined
}>

/**
 * Streams a watch as JSON lines until the signal aborts. Without a resourceVersion (or with `0`, or with sendInitialEvents)
 * the current objects come first. History that is gone ends the stream with an ERROR line whose Status is 410.
 */
export async function streamWatch(
  registry: Registry,
  kind: Kind,
  request: WatchRequest,
  sink: Sink,
  signal: AbortSignal,
): Promise<void> {
  const { query, namespace, name } = request
  const fields = [query.fieldSelector, name === undefined ? undefined : `metadata.name=${name}`]
    .filter(Boolean)
    .join(',')
  const byLabel = parseLabelSelector(query.labelSelector)
  const byField = parseFieldSelector(fields)
  const selected = (object: JsonObject) => byLabel(object) && byField(object)
  const line = lineWriter(kind, request)
  try {
    let after = startOf(query)
    if (after === undefined) {
      const { items, revision } = await registry.list(kind, namespace)
      const initial = items.filter((doc) => selected(doc as unknown as JsonObject))
      if (initial.length) await sink(initial.map((doc) => line('ADDED', doc)).join(''))
      if (flag(query.sendInitialEvents)) await sink(bookmark(kind, revision, { 'k8s.io/initial-events-end': 'true' }))
      after = revision
    }
    for await (const changes of registry.watch(kind, namespace, after, signal)) {
      const text = changes
        .map((change) => eventOf(change, selected))
        .filter((event) => event !== undefined)
        .map((event) => line(event.type, event.object))
        .join('')
      if (text) await sink(text)
    }
  } catch (error) {
    if (signal.aborted) return
    await sink(`${JSON.stringify({ type: 'ERROR', object: failure(error) })}\n`)
  }
}

/** The revision to start after, or undefined to begin with what is there now. */
function startOf(query: Query): number | undefined {
  if (flag(query.sendInitialEvents)) return undefined
  const text = query.resourceVersion ?? ''
  if (text === '' || text === '0') return undefined
  if (!/^\d{1,15}$/.test(text))
    throw new Fault(
      'BadRequest',
      `resourceVersion: Invalid value: "${text}": it must be a number that this server gave out`,
    )
  return Number(text)
}

function lineWriter(kind: Kind, request: WatchRequest): (type: string, doc: Doc) => string {
  const include = wantsTable(request.accept, request.query)
  if (!include) return (type, object) => `${JSON.stringify({ type, object })}\n`
  return (type, doc) => {
    const object = tableOf(kind, [doc], { resourceVersion: doc.metadata.resourceVersion ?? '' }, include, Date.now())
    return `${JSON.stringify({ type, object })}\n`
  }
}

function bookmark(kind: Kind, revision: number, annotations: Record<string, string>): string {
  const object = {
    kind: kind.kind,
    apiVersion: apiVersionOf(kind),
    metadata: { resourceVersion: String(revision), annotations },
  }
  return `${JSON.stringify({ type: 'BOOKMARK', object })}\n`
}
