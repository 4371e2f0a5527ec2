import assert from 'node:assert/strict'
import type { Change } from '#machinery/store/store.ts'
import type { Any } from '../api.ts'
import { colorOf, countOf, type Plural, tokenOf } from './ground.ts'
import type { Watcher } from './watcher.ts'
import type { Attempt } from './writer.ts'

/** Everything that was ever committed of a kind, from the store itself. */
export type History = Readonly<Record<Plural, readonly Change[]>>

/** Compares what writers were told with what the store did. */
export function verifyWrites(attempts: readonly Attempt[], history: History): void {
  const committed = new Map<string, number[]>()
  for (const change of Object.values(history).flat()) {
    const token = tokenIn(change)
    if (token !== undefined) committed.set(token, [...(committed.get(token) ?? []), change.row.revision])
  }
  const known = new Set<string>()
  for (const { token, outcome, revision, type } of attempts) {
    const what = `${outcome} ${type} ${token}`
    const revisions = committed.get(token) ?? []
    known.add(token)
    assert.ok(revisions.length <= 1, `${what} was applied at ${revisions}`)
    if (outcome === 'refused' && type === 'put') assert.equal(revisions.length, 0, `${what} was applied`)
    if (outcome !== 'done') continue
    assert.equal(revisions.length, 1, `${what} was lost`)
    if (revision !== undefined) assert.equal(revisions[0], revision, `${what} is of another revision`)
  }
  for (const token of committed.keys()) assert.ok(known.has(token), `nobody wrote ${token}`)
}

/** What a change is known by: its token, or of a delete the uid. Undefined for one of a controller, which counts nothing. */
function tokenIn({ type, row, previous }: Change): string | undefined {
  const [object, before] = [row.value as Any, previous?.value as Any]
  if (type === 'delete') return object.metadata.uid
  const isOurs = tokenOf(object) !== tokenOf(before)
  const count = before ? countOf(before) + (isOurs ? 1 : 0) : 0
  assert.equal(countOf(object), count, `revision ${row.revision} of ${row.key} counts wrongly`)
  return isOurs ? tokenOf(object) : undefined
}

/** Compares what a watcher was told with what it should have been, and its world with `objects`. */
export function verifyWatcher(watcher: Watcher, history: History, objects: readonly Any[]): void {
  const { plural, color, protocol } = watcher.options
  const what = `a watcher of ${color ?? 'all'} ${plural} over ${protocol}`
  assert.deepEqual(
    watcher.events,
    history[plural].flatMap((change) => eventOf(change, color) ?? []),
    what,
  )
  assert.deepEqual(byName([...watcher.world.values()]), byName(select(objects, color)), what)
}

export const select = (objects: readonly Any[], color: string | undefined) =>
  objects.filter((object) => color === undefined || colorOf(object) === color)

function byName(objects: readonly Any[]): readonly Any[] {
  return objects.toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
}

function eventOf({ type, row, previous }: Change, color: string | undefined): string | undefined {
  const isIn = (object: Any) => object !== undefined && (color === undefined || colorOf(object) === color)
  const [before, after] = [isIn(previous?.value), type === 'put' && isIn(row.value)]
  const name = after ? (before ? 'MODIFIED' : 'ADDED') : before ? 'DELETED' : undefined
  return name && `${name} ${row.revision}`
}
