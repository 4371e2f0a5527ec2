import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { Fault } from '#base/fault.ts'
import { type Log, silent } from '#base/log.ts'
import { eventually } from '#base/wait.ts'
import { HandTimers } from '#kit/machinery/loop/hand-timers.ts'
import { type ControllerOptions, runController } from './reconcile.ts'

type Line = Readonly<{ level: string; message: string; fields: Record<string, unknown> }>

function recordingLog(lines: Line[]): Log {
  const at = (level: string) => (fields: Record<string, unknown>, message: string) =>
    void lines.push({ level, message, fields })
  const log: Log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error'), child: () => log }
  return log
}

/** Runs a controller that is stopped after the test. */
function start(t: TestContext, options: Partial<ControllerOptions> & Pick<ControllerOptions, 'reconcile'>) {
  const signal = new AbortController().signal
  const controller = runController({ name: 'test', workers: 4, log: silent, signal, ...options })
  t.after(() => controller.stop())
  return controller
}

describe('runController', { timeout: 20_000 }, () => {
  it('works on different keys at a time, and on each key once at a time', async (t) => {
    const running = new Set<string>()
    const passes: string[] = []
    let most = 0
    const controller = start(t, {
      reconcile: async (key) => {
        assert.ok(!running.has(key))
        running.add(key)
        most = Math.max(most, running.size)
        await new Promise((resolve) => setImmediate(resolve))
        running.delete(key)
        passes.push(key)
      },
    })
    for (let i = 0; i < 50; i++) controller.enqueue(`ns/${i % 10}`)
    await controller.settled()
    assert.equal(most, 4)
    assert.deepEqual(new Set(passes).size, 10)
    assert.equal(passes.length, 10)
  })

  it('looks again when asked to, and keeps failures apart from that', async (t) => {
    const timers = new HandTimers()
    let passes = 0
    const controller = start(t, { timers, reconcile: async () => (++passes === 1 ? { againAfterMs: 700 } : undefined) })
    controller.enqueue('a')
    await controller.settled()
    assert.deepEqual(timers.waits, [700])
    timers.pass(700)
    await controller.settled()
    assert.deepEqual([passes, timers.waits], [2, []])
  })

  it('tries again after 5 ms, then twice as long each time, and starts over after a success', async (t) => {
    const timers = new HandTimers()
    let fails = true
    const controller = start(t, {
      timers,
      reconcile: async () => {
        if (fails) throw new Fault('Unavailable', 'Reaching the host')
      },
    })
    controller.enqueue('a')
    for (let wait = 5; wait <= 20_480; wait *= 2) {
      await controller.settled()
      assert.deepEqual(timers.waits, [wait])
      timers.pass(wait)
    }
    await controller.settled()
    assert.deepEqual(timers.waits, [30_000])
    fails = false
    timers.pass(30_000)
    await controller.settled()
    fails = true
    controller.enqueue('a')
    await controller.settled()
    assert.deepEqual(timers.waits, [5])
  })

  it('comes back soon, and quietly, after a conflict', async (t) => {
    const [timers, lines] = [new HandTimers(), [] as Line[]]
    const controller = start(t, {
      timers,
      log: recordingLog(lines),
      reconcile: async () => {
        throw new Fault('Conflict', 'Too late')
      },
    })
    controller.enqueue('a')
    for (let i = 0; i < 12; i++) {
      await controller.settled()
      timers.pass(1000)
    }
    await controller.settled()
    assert.deepEqual(timers.waits, [1000])
    assert.deepEqual(new Set(lines.map(({ level }) => level)), new Set(['debug']))
  })

  it('says the same failure once, with its whole cause, and when it is over', async (t) => {
    const [timers, lines] = [new HandTimers(), [] as Line[]]
    let error: unknown = new Fault('Unavailable', 'Plugging vm/a', { cause: new Error('no such bridge') })
    const controller = start(t, {
      timers,
      log: recordingLog(lines),
      reconcile: async () => {
        if (error) throw error
      },
    })
    controller.enqueue('ns/a')
    for (const next of [error, error, new TypeError('x is not a function'), undefined]) {
      await controller.settled()
      error = next
      timers.pass(30_000)
    }
    await controller.settled()
    const loud = lines.filter(({ level }) => level !== 'debug')
    assert.deepEqual(
      loud.map(({ level, fields }) => [level, fields.object, fields.error]),
      [
        ['warn', 'ns/a', 'Plugging vm/a: no such bridge'],
        ['error', 'ns/a', 'x is not a function'],
        ['info', 'ns/a', undefined],
      ],
    )
    assert.match(String(loud[1]?.fields.stack), /TypeError/)
  })

  it('starts passes once every source is ready', async (t) => {
    const ready = Promise.withResolvers<void>()
    const passes: string[] = []
    const sources = [(enqueue: (key: string) => void) => enqueue('a'), () => ready.promise]
    const controller = start(t, { sources, reconcile: async (key) => void passes.push(key) })
    controller.enqueue('b')
    await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual(passes, [])
    ready.resolve()
    await controller.settled()
    assert.deepEqual(passes, ['a', 'b'])
  })

  it('stops: aborts what runs, waits for it, starts nothing more', async (t) => {
    const [outer, lines] = [new AbortController(), [] as Line[]]
    const passes: string[] = []
    const finish = Promise.withResolvers<void>()
    const controller = start(t, {
      signal: outer.signal,
      workers: 1,
      log: recordingLog(lines),
      reconcile: async (key, signal) => {
        passes.push(key)
        await finish.promise
        signal.throwIfAborted()
      },
    })
    controller.enqueue('a')
    controller.enqueue('b')
    await eventually('the pass', () => passes.length === 1, { everyMs: 1 })
    outer.abort()
    let stopped = false
    const stopping = controller.stop().then(() => {
      stopped = true
    })
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(stopped, false)
    finish.resolve()
    await stopping
    await controller.settled()
    controller.enqueue('c')
    assert.deepEqual([passes, lines], [['a'], []])
  })

  it('stops before its sources are ready', async (t) => {
    const controller = start(t, {
      sources: [() => new Promise(() => {})],
      reconcile: async () => assert.fail('no pass'),
    })
    controller.enqueue('a')
    await controller.stop()
  })

  it('says that a source failed, and does not run', async (t) => {
    const lines: Line[] = []
    const sources = [() => Promise.reject(new Error('no cache'))]
    const controller = start(t, { sources, log: recordingLog(lines), reconcile: async () => assert.fail('no pass') })
    controller.enqueue('a')
    await controller.settled()
    assert.deepEqual(
      lines.map(({ level, fields }) => [level, fields.error]),
      [['error', 'no cache']],
    )
  })
})
