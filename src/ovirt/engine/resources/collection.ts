import { setImmediate } from 'node:timers/promises'
import type { Doc } from '../../wire/document.ts'
import { EngineFault } from '../../wire/faults.ts'
import { type Call, ok, type Reply } from '../call.ts'
import { type Fields, searched } from '../search.ts'

/** A collection of the API: its items are searched and shown. */
export type Collection<T> = Readonly<{ root: string; item: string; show: (item: T, call: Call) => Doc | Promise<Doc> }>

/** Items shown in a row. */
const itemsAtATime = 200

/** The items of a collection that a call asks for, by `search`, `max` and `case_sensitive`. */
export async function listed<T>(
  call: Call,
  { root, item, show }: Collection<T>,
  items: readonly T[],
  fields?: Fields<T>,
): Promise<Reply> {
  const { search, case_sensitive } = call.query
  const max = countIn(call, 'max')
  const isCaseSensitive = case_sensitive?.toLowerCase() === 'true'
  // Only top collections are searched (facts/ovirt-clients.md §5).
  const found = fields ? searched(items, { search, max, isCaseSensitive }, fields) : items.slice(0, max)
  const shown: Doc[] = []
  for (const [i, one] of found.entries()) {
    shown.push(await show(one, call))
    // A long list leaves others their turn.
    if (i % itemsAtATime === itemsAtATime - 1) await setImmediate()
  }
  return ok(root, { [item]: shown })
}

/** A number in the query that is not negative; the engine takes -1 for none. @throws EngineFault 400 */
export function countIn({ query }: Call, name: string): number | undefined {
  const text = query[name]
  if (text === undefined || text === '' || text === '-1') return undefined
  if (!/^\d{1,15}$/.test(text))
    throw new EngineFault(400, 'Invalid value', `Value "${text}" of ${name} isn't a valid number`)
  return Number(text)
}

/** An empty collection: what there is none of here (facts/ovirt-clients.md §3). */
export function none(root: string): () => Reply {
  return () => ok(root, {})
}

/** A link to another collection, as in `<link href rel>`. */
export function link(href: string, rel: string): Doc {
  return { href, rel }
}
