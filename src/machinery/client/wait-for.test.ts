import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ApiObject, Stored } from '#apis/meta/object.ts'
import type { Listener } from './informer-cache.ts'
import { waitFor } from './wait-for.ts'

type Thing = Stored<ApiObject & Readonly<{ size: number }>>

const thing = (size: number, resourceVersion: number, uid = 'u'): Thing => ({
  apiVersion: 'v1',
  kind: 'Thing',
  metadata: { namespace: 'default', name: 'a', uid, resourceVersion: String(resourceVersion), creationTimestamp: '' },
  size,
})

/** An informer that shows what a test says, and a wait of it for a thing of size 2. */
function open(shown: Thing | undefined, { isGone = false, from = thing(1, 5) } = {}) {
  const listeners = new Set<Listener<Thing>>()
  const stop = new AbortController()
  const seen: (number | undefined)[] = []
  const informer = {
    get: () => shown,
    onChange: (listener: Listener<Thing>) => {
      if (shown) listener(shown, undefined)
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
  const isDone = (now: Thing | undefined) => {
    seen.push(now?.size)
    if (now && now.size < 0) throw new Error('broken')
    return !now || now.size === 2
  }
  const done = waitFor(informer, from, isDone, { isGone: async () => isGone, signal: stop.signal })
  const tell = (now: Thing | undefined, before?: Thing) => {
    for (const listener of listeners) listener(now, before)
  }
  return { done, tell, seen, stop, listening: () => listeners.size }
}

test('wait for: what is there already, of the revision or newer, may be enough', async () => {
  const { done, seen, listening } = open(thing(2, 5))
  await done
  assert.deepEqual([seen, listening()], [[2], 0])
})

test('wait for: what an informer shows from before the write counts for nothing', async () => {
  const { done, tell, seen, listening } = open(thing(2, 4))
  tell(thing(1, 5))
  tell({ ...thing(2, 9), metadata: { ...thing(2, 9).metadata, name: 'other' } })
  tell(thing(2, 6))
  await done
  assert.deepEqual([seen, listening()], [[1, 2], 0])
})

for (const [what, shown, end] of [
  ['that is told', thing(1, 5), thing(1, 8)],
  ['that was missed until a namesake came', thing(1, 4), thing(1, 4)],
] as const)
  test(`wait for: the end of an object ${what} is undefined`, async () => {
    const { done, tell, seen } = open(shown)
    tell(undefined, end)
    await done
    assert.equal(seen.at(-1), undefined)
  })

test('wait for: an object that the informer does not show is gone if the server says so', async () => {
  const gone = open(undefined, { isGone: true })
  await gone.done
  assert.deepEqual(gone.seen, [undefined])
  const late = open(undefined)
  late.tell(undefined, thing(2, 3, 'another'))
  late.tell(thing(2, 5))
  await late.done
  assert.deepEqual(late.seen, [2])
})

test('wait for: what is thrown ends it, and so does the signal', async () => {
  const broken = open(thing(-1, 5))
  await assert.rejects(broken.done, { message: 'broken' })
  const left = open(thing(1, 5))
  left.stop.abort()
  await assert.rejects(left.done, { kind: 'Aborted' })
  assert.deepEqual([broken.listening(), left.listening()], [0, 0])
})
