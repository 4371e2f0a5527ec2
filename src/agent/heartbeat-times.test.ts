import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import { Node } from '#apis/core/node.ts'
import { silent } from '#base/log.ts'
import type { Client } from '#machinery/client/client.ts'
import { type NodeFacts, startHeartbeat } from './heartbeat.ts'

const facts: NodeFacts = {
  name: 'n1',
  labels: { a: 'b' },
  info: { kubeletVersion: 'v1' },
  addresses: [{ type: 'Hostname', address: 'n1' }],
  capacity: { cpu: '2' },
  allocatable: { cpu: '1' },
}

/** A client with one Node and one Lease, in memory. */
function memory() {
  const objects = new Map<string, Node>()
  const client = {
    get: async ({ kind }: { kind: string }) => objects.get(kind),
    create: async ({ kind }: { kind: string }, object: Node) => objects.set(kind, object),
    modify: async ({ kind }: { kind: string }, _: unknown, change: (one: Node) => Node) => {
      const before = objects.get(kind)
      if (before) objects.set(kind, change(before))
      return objects.get(kind)
    },
  } as unknown as Client
  return { objects, client, ready: () => objects.get(Node.kind)?.status?.conditions?.[0] }
}

test('a node says what it is, and says it again only after a while, or when it was taken for dead', async (t) => {
  mock.timers.enable({ apis: ['setTimeout', 'Date'], now: Date.parse('2026-01-01T00:00:00Z') })
  t.after(() => mock.timers.reset())
  const { objects, client, ready } = memory()
  const times = { durationSeconds: 40, renewMs: 10_000 }
  const signal = new AbortController()
  const beats = await startHeartbeat({
    observe: async () => ({ images: undefined, capacity: {}, allocatable: {} }),
    client,
    node: facts,
    times,
    log: silent,
    signal: signal.signal,
  })
  const pass = async (ms: number) => {
    for (let left = ms; left > 0; left -= times.renewMs) {
      mock.timers.tick(times.renewMs)
      for (let i = 0; i < 30; i++) await Promise.resolve()
    }
  }
  const { status, metadata } = objects.get(Node.kind)!
  assert.deepEqual(metadata.labels, facts.labels)
  assert.deepEqual(
    [status?.nodeInfo, status?.addresses, status?.capacity, status?.allocatable],
    [facts.info, facts.addresses, facts.capacity, facts.allocatable],
  )
  assert.equal(ready()?.lastHeartbeatTime, '2026-01-01T00:00:00Z')
  await pass(290_000)
  assert.equal(ready()?.lastHeartbeatTime, '2026-01-01T00:00:00Z', 'it writes a node that is as it was')
  await pass(10_000)
  assert.equal(ready()?.lastHeartbeatTime, '2026-01-01T00:05:00Z')
  const dead = { type: 'Ready', status: 'Unknown', lastHeartbeatTime: '2026-01-01T00:05:00Z' } as const
  objects.set(Node.kind, { ...objects.get(Node.kind)!, status: { conditions: [dead] } })
  await pass(10_000)
  assert.deepEqual([ready()?.status, ready()?.lastHeartbeatTime], ['True', '2026-01-01T00:05:10Z'])
  assert.equal(ready()?.lastTransitionTime, '2026-01-01T00:05:10Z')
  signal.abort()
  mock.timers.tick(times.renewMs)
  await beats.stop()
})
