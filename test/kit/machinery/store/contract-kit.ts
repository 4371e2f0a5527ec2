import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { Fault, faultKind } from '#base/fault.ts'
import type { JsonObject } from '#base/json.ts'
import type { Change, Decision, Row, Store } from '#machinery/store/store.ts'
import type { Tuning } from '#machinery/store/watchable-store.ts'

/** Opens an empty store that is closed after the test. */
export type Opened = (t: TestContext, tuning?: Tuning) => Promise<Store>

/** What differs between stores by what they are made on. */
export type Traits = Readonly<{
  /** Whether bookkeeping, such as of compaction, has revisions too; else only changes have. */
  hasGaps: boolean
  /**
   * Whether a decision is made within the call of `update`, over what is not on disk yet, and reads are of the moment they are
   * called; else both wait for what others may have written meanwhile.
   */
  isAlone: boolean
}>

/** The prefix that most tests write under. */
export const vms = '/kubevirt.io/virtualmachines/'

/** A decision to write, whatever is there. */
export function put(value: JsonObject): () => Decision {
  return () => ({ type: 'put', value })
}

/** A decision to delete. */
export function remove(value?: JsonObject): () => Decision {
  return () => ({ type: 'delete', ...(value && { value }) })
}

/** The first `count` changes of a watch. */
export async function read(store: Store, prefix: string, after: number, count: number): Promise<Change[]> {
  const stop = new AbortController()
  const changes: Change[] = []
  if (count === 0) return changes
  for await (const batch of store.watch(prefix, after, stop.signal)) {
    assert.ok(batch.length > 0, 'a batch is never empty')
    changes.push(...batch)
    if (changes.length >= count) stop.abort()
  }
  return changes
}

/** The kind of Fault something rejects with. */
export async function faultOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'none',
    (error) => (error instanceof Fault ? error.kind : `not a Fault: ${faultKind(error)} ${error}`),
  )
}

/** Counts a key up. */
export function increment(current: Row | undefined): Decision {
  return { type: 'put', value: { n: Number(current?.value.n ?? 0) + 1 } }
}

/** Writes `count` keys at once. */
export async function fill(store: Store, count: number, prefix = `${vms}default/vm-`): Promise<void> {
  await Promise.all(Array.from({ length: count }, (_, i) => store.update(`${prefix}${i}`, put({ i }))))
}

export const revisions = (changes: readonly Change[]) => changes.map(({ row }) => row.revision)
export const span = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => first + i)
