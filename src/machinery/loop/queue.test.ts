import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { HandTimers } from '#kit/machinery/loop/hand-timers.ts'
import { WorkQueue } from './queue.ts'

function open(): { queue: WorkQueue; timers: HandTimers } {
  const timers = new HandTimers()
  return { queue: new WorkQueue(timers), timers }
}

describe('WorkQueue', () => {
  it('gives keys in the order they came, each once', async () => {
    const { queue } = open()
    for (const key of ['b', 'a', 'b', 'c', 'a']) queue.add(key)
    assert.deepEqual([await queue.take(), await queue.take(), await queue.take()], ['b', 'a', 'c'])
    const next = queue.take()
    queue.add('d')
    assert.equal(await next, 'd')
  })

  it('gives a key that is being worked on again only when that is done, and once', async () => {
    const { queue } = open()
    queue.add('a')
    await queue.take()
    queue.add('a')
    queue.add('a')
    const next = queue.take()
    queue.add('b')
    assert.equal(await next, 'b')
    queue.done('a')
    assert.equal(await queue.take(), 'a')
    queue.done('a')
    const none = queue.take()
    queue.close()
    assert.equal(await none, undefined)
  })

  it('adds a key later, at its earliest turn only', async () => {
    const { queue, timers } = open()
    queue.addAfter('a', 100)
    queue.addAfter('a', 500)
    queue.addAfter('a', 50)
    assert.deepEqual(timers.waits, [50])
    const next = queue.take()
    timers.pass(50)
    assert.equal(await next, 'a')
    queue.done('a')
    queue.addAfter('a', 0)
    assert.equal(await queue.take(), 'a')
  })

  it('calls a later turn off when the key is taken', async () => {
    const { queue, timers } = open()
    queue.addAfter('a', 100)
    queue.add('a')
    await queue.take()
    assert.deepEqual(timers.waits, [])
  })

  it('waits twice as long after each failure, up to a cap, until the failures are forgotten', () => {
    const { queue } = open()
    const waits = (count: number) => Array.from({ length: count }, () => queue.retry('a', 30_000))
    assert.deepEqual(waits(5), [5, 10, 20, 40, 80])
    assert.deepEqual(waits(2000).at(-1), 30_000)
    assert.equal(queue.retry('b', 30_000), 5)
    queue.forget('a')
    assert.equal(queue.retry('a', 30_000), 5)
  })

  it('is idle when nothing waits or runs', async () => {
    const { queue } = open()
    await queue.idle()
    queue.add('a')
    let idle = false
    const becameIdle = queue.idle().then(() => {
      idle = true
    })
    await queue.take()
    queue.add('a')
    queue.done('a')
    await queue.take()
    assert.equal(idle, false)
    queue.addAfter('b', 10)
    queue.done('a')
    await becameIdle
  })

  it('takes nothing and plans nothing once closed', async () => {
    const { queue, timers } = open()
    queue.add('a')
    queue.addAfter('b', 10)
    queue.close()
    queue.add('c')
    queue.retry('d', 10)
    assert.deepEqual([await queue.take(), timers.waits], [undefined, []])
    await queue.idle()
  })

  it('never loses a key nor gives it to two workers, whatever the order', async () => {
    const step = fc.oneof(
      fc.record({ type: fc.constantFrom('add', 'later'), key: fc.constantFrom('a', 'b', 'c') }),
      fc.record({ type: fc.constantFrom('take', 'done', 'time'), key: fc.constant('') }),
    )
    const property = fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const { queue, timers } = open()
      const wanted = new Set<string>()
      const running: string[] = []
      const start = (key: string | undefined) => {
        if (key === undefined) return
        assert.ok(!running.includes(key), 'one worker per key')
        running.push(key)
        wanted.delete(key)
      }
      const takes: Promise<void>[] = []
      for (const { type, key } of steps) {
        if (type === 'add') queue.add(key)
        else if (type === 'later') queue.addAfter(key, 5)
        else if (type === 'take') takes.push(queue.take().then(start))
        else if (type === 'done') for (const done of running.splice(0, 1)) queue.done(done)
        else timers.pass(3)
        if (key) wanted.add(key)
        await new Promise((resolve) => setImmediate(resolve))
      }
      timers.pass(100)
      for (let i = 0; i < 20; i++) {
        for (const done of running.splice(0)) queue.done(done)
        takes.push(queue.take().then(start))
        await new Promise((resolve) => setImmediate(resolve))
      }
      assert.deepEqual([...wanted], [], 'every key added was taken afterwards')
      queue.close()
      await Promise.all(takes)
    })
    await fc.assert(property, { numRuns: 50 })
  })
})
