import type { WatchEvent } from '../client/client.ts'
import type { Change } from '../store/store.ts'
import { type Doc, docOf } from './registry.ts'
import type { Selector } from './selector.ts'

/** The part of a watch event that carries an object. */
export type ObjectEvent = Extract<WatchEvent<Doc>, { object: Doc }>

/**
 * What a change means to a watcher who sees only selected objects: one that leaves the selection is deleted for it, one that
 * enters is added. Undefined when the change is none of its business.
 */
export function eventOf(change: Change, selected: Selector): ObjectEvent | undefined {
  const before = change.previous !== undefined && selected(change.previous.value)
  const object = docOf(change.row)
  if (change.type === 'delete') return before ? { type: 'DELETED', object } : undefined
  const after = selected(change.row.value)
  if (after) return { type: before ? 'MODIFIED' : 'ADDED', object }
  return before ? { type: 'DELETED', object } : undefined
}
