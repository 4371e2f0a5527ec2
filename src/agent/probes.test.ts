import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import type { Prober, ProbeTarget } from '#core/ports.ts'
import { Probes } from './probes.ts'

const spec = (more: Partial<VmiSpec>): VmiSpec => ({ domain: { devices: {} }, ...more })
const target = {} as ProbeTarget

/** Time that a test lets pass by hand, and a guest that fails as told. */
function open(t: TestContext) {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'] })
  const news: string[] = []
  const guest = { failure: undefined as string | undefined, tried: 0 }
  const stop = new AbortController()
  const prober: Prober = {
    check: async () => {
      guest.tried++
      return guest.failure
    },
  }
  const probes = new Probes(prober, (uid, probe) => news.push(`${uid} ${probe}`), stop.signal)
  const pass = async (ms: number) => {
    t.mock.timers.tick(ms)
    await new Promise(setImmediate)
  }
  return { probes, guest, news, pass, stop }
}

test('a guest with a readiness probe is ill until the probe succeeds, and again after it failed often enough', async (t) => {
  const { probes, guest, news, pass } = open(t)
  probes.watch(
    'a',
    spec({ readinessProbe: { guestAgentPing: {}, initialDelaySeconds: 5, failureThreshold: 2 } }),
    target,
  )
  assert.equal(probes.health('a').readiness?.isWell, false)
  await pass(4999)
  assert.equal(guest.tried, 0)
  await pass(1)
  assert.deepEqual([probes.health('a').readiness?.isWell, news], [true, ['a readiness']])
  guest.failure = 'gone'
  await pass(10_000)
  assert.equal(probes.health('a').readiness?.isWell, true)
  await pass(10_000)
  assert.deepEqual(probes.health('a').readiness, { isWell: false, against: 0, message: 'gone' })
  guest.failure = undefined
  await pass(10_000)
  assert.equal(probes.health('a').readiness?.isWell, true)
})

test('a guest whose liveness probe failed must go, and is not tried any more', async (t) => {
  const { probes, guest, news, pass } = open(t)
  probes.watch('a', spec({ livenessProbe: { guestAgentPing: {}, periodSeconds: 1 } }), target)
  await pass(0)
  assert.equal(probes.health('a').failed, undefined)
  guest.failure = 'hung'
  for (let i = 0; i < 3; i++) await pass(1000)
  assert.deepEqual([probes.health('a').failed, news], [{ message: 'hung', sinceMs: 3000 }, ['a liveness']])
  const { tried } = guest
  await pass(60_000)
  assert.equal(guest.tried, tried)
  probes.forget('a')
  assert.deepEqual(probes.health('a'), { readiness: undefined, failed: undefined })
})

test('watching again changes nothing, another probe begins anew, and an end ends it all', async (t) => {
  const { probes, guest, pass, stop } = open(t)
  const ping = { readinessProbe: { guestAgentPing: {} } }
  probes.watch('a', spec(ping), target)
  await pass(0)
  probes.watch('a', spec(structuredClone(ping)), target)
  assert.equal(probes.health('a').readiness?.isWell, true)
  probes.watch('a', spec({ readinessProbe: { guestAgentPing: {}, periodSeconds: 1 } }), target)
  assert.equal(probes.health('a').readiness?.isWell, false)
  const { tried } = guest
  stop.abort()
  await pass(60_000)
  assert.equal(guest.tried, tried)
})
