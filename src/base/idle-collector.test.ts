import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { Worker } from 'node:worker_threads'
import { eventually } from './wait.ts'

/** A thread that makes much garbage, part of it old, and then has nothing to do. */
const burst = `
  const { parentPort, workerData } = require('node:worker_threads')
  const { memoryUsage } = process
  ;(async () => {
    const { collectWhenIdle } = await import(workerData)
    let living = []
    for (let i = 0; i < 400_000; i++) living.push({ i, name: 'x' + i, list: [i] })
    parentPort.postMessage(living.length)
    living = undefined
    collectWhenIdle(50)
    parentPort.on('message', () => parentPort.postMessage('alive'))
  })()`

describe('a thread that is idle', () => {
  it('gives back the memory of a burst, also the pages that V8 would keep', { timeout: 120_000 }, async (t) => {
    const before = process.memoryUsage.rss()
    const url = new URL('idle-collector.ts', import.meta.url).href
    const worker = new Worker(burst, { eval: true, workerData: url })
    t.after(() => worker.terminate())
    await once(worker, 'message')
    const burstBytes = process.memoryUsage.rss() - before
    assert.ok(burstBytes > 40 * 2 ** 20, `a burst of ${burstBytes} bytes`)
    await eventually('most of it is given back', () => process.memoryUsage.rss() - before < burstBytes / 2, {
      deadlineMs: 60_000,
    })
  })
})
