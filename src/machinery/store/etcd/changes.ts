import type { JsonObject } from '#base/json.ts'
import type { EtcdEvent, KeyValue } from '../../etcd/messages.ts'
import type { Change, Row } from '../store.ts'
import type { Sized } from '../watch-cache.ts'
import { type Envelope, objectIn, opened } from './envelope.ts'
import type { EtcdKeys } from './keys.ts'

/** A change, and the identity of the write that made it; empty when it has none. */
export type Told = Sized & Readonly<{ id: string }>

type Sources = Readonly<{
  keys: EtcdKeys
  /** The row of a key, if it is in memory: spares parsing what an event replaced. */
  known?: (key: string) => Row | undefined
  /** The value of a write of this process that is under way: spares parsing it again. */
  own?: (id: string) => JsonObject | undefined
  /** Called with each key below the prefix whose value is no object. */
  onForeign: (key: string) => void
}>

/** The changes of objects in events of whole revisions. A delete has its last words from the other event of its revision. */
export function changesOf(events: readonly EtcdEvent[], sources: Sources): Told[] {
  const lastWords = new Map<string, Envelope>()
  const objects: { key: string; event: EtcdEvent }[] = []
  for (const event of events) {
    const meaning = sources.keys.meaning(event.kv.key)
    if (meaning?.is === 'object') objects.push({ key: meaning.key, event })
    else if (meaning && event.type === 'put')
      lastWords.set(`${event.kv.modRevision} ${meaning.key}`, opened(event.kv.value))
  }
  return objects.flatMap(({ key, event }): Told[] => {
    const { modRevision: revision } = event.kv
    const previous = event.previous && previousOf(key, event.previous, sources)
    const envelope = event.type === 'put' ? opened(event.kv.value) : lastWords.get(`${revision} ${key}`)
    const { id, text } = envelope ?? { id: '', text: '' }
    const value = sources.own?.(id) ?? objectIn(text) ?? (event.type === 'delete' ? (previous?.value ?? {}) : undefined)
    if (!value) {
      sources.onForeign(key)
      return []
    }
    const change: Change = { type: event.type, row: { key, revision, value }, ...(previous && { previous }) }
    return [{ id, change, bytes: text.length }]
  })
}

function previousOf(key: string, kv: KeyValue, { known }: Sources): Row | undefined {
  const row = known?.(key)
  return row?.revision === kv.modRevision ? row : rowOf(key, kv)
}

/** The row in a key of etcd; undefined when it holds no object. */
export function rowOf(key: string, { modRevision, value }: KeyValue): Row | undefined {
  const object = objectIn(opened(value).text)
  return object && { key, revision: modRevision, value: object }
}
