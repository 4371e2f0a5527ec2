import type { WatchEvent } from '../client/client.ts'
import type { Change } from '../store/store.ts'
import { type Doc, docOf } from './doc.ts'
import type { Selector } from './selector.ts'

/** The part of a watch event that carries an object. */
export type ObjectEvent = Extract<WatchEvent<Doc>, { object: unknown }>

/**
 * A change as a watcher with selectors sees it: an object that leaves the selection is deleted for it, one that enters is
 * added. Undefined for an object outside the selection.
 */
export function eventTypeOf(change: Change, selected: Selector): ObjectEvent['type'] | undefined {
  const before = change.previous !== undefined && selected(change.previous.value)
  const after = change.type === 'put' && selected(change.row.value)
  if (after) return before ? 'MODIFIED' : 'ADDED'
  return before ? 'DELETED' : undefined
}

/** The same with the object. */
export function eventOf(change: Change, selected: Selector): ObjectEvent | undefined {
  const type = eventTypeOf(change, selected)
  return type && { type, object: docOf(change.row) }
}
