import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { Lease } from '#apis/coordination/lease.ts'
import { Namespace } from '#apis/core/namespace.ts'
import { Node } from '#apis/core/node.ts'
import { Fault } from '#base/fault.ts'
import type { Log } from '#base/log.ts'
import { eventually } from '#base/wait.ts'
import { leaseNamespace } from '#core/access/node.ts'
import { findCondition } from '#core/vm/conditions.ts'
import { openApi } from '#kit/server/memory-api.ts'
import type { Client } from '#machinery/client/client.ts'
import { startHeartbeat } from './heartbeat.ts'

const node = {
  name: 'n',
  labels: { 'kubernetes.io/hostname': 'n' },
  info: { architecture: 'amd64' },
  addresses: [{ type: 'Hostname', address: 'n' }],
  capacity: { memory: '8Gi' },
  allocatable: { memory: '7Gi' },
}
const lease = { namespace: leaseNamespace, name: 'n' }

/** An API whose writes of leases can be made to fail, and the beats of a node over it. */
async function open(t: TestContext) {
  const { client, options, stopping, setStatus } = await openApi(t)
  await client.create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: leaseNamespace } })
  const server = { failure: undefined as Fault | undefined, beats: 0, beforeCreate: async () => {} }
  const failing: Client = {
    get: (...given) => client.get(...given),
    list: (...given) => client.list(...given),
    watch: (...given) => client.watch(...given),
    create: (async (...given: Parameters<Client['create']>) => {
      await server.beforeCreate()
      return client.create(...given)
    }) as Client['create'],
    modify: async (kind, ...rest) => {
      if (kind.kind === Lease.kind) server.beats++
      if (server.failure) throw server.failure
      return client.modify(kind, ...rest)
    },
    delete: (...given) => client.delete(...given),
  }
  const lines: string[] = []
  const note = (_: unknown, message: string) => void lines.push(message)
  const log: Log = { debug: note, info: note, warn: note, error: note, child: () => log }
  const start = async (renewMs = 5) =>
    stopping(
      await startHeartbeat({
        observe: async () => ({ images: undefined, capacity: {}, allocatable: {} }),
        ...options,
        client: failing,
        node,
        times: { durationSeconds: 40, renewMs },
        log,
      }),
    )
  const beats = (more: number) => {
    const until = server.beats + more
    return eventually(`${more} beats`, async () => server.beats >= until)
  }
  return { client, server, lines, start, beats, setStatus }
}

test('a node is registered with what it is and has before its heartbeat has started', async (t) => {
  const { client, start } = await open(t)
  await start(60_000)
  const made = await client.get(Node, { name: 'n' })
  assert.deepEqual(made?.metadata.labels, node.labels)
  const { nodeInfo, addresses, capacity, allocatable, conditions } = made?.status ?? {}
  assert.deepEqual([nodeInfo, addresses], [node.info, node.addresses])
  assert.deepEqual([capacity, allocatable], [node.capacity, node.allocatable])
  assert.equal(findCondition(conditions, 'Ready')?.status, 'True')
  const { spec } = (await client.get(Lease, lease)) ?? {}
  assert.deepEqual([spec?.holderIdentity, spec?.leaseDurationSeconds], ['n', 40])
  assert.match(spec?.renewTime ?? '', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/)
})

test('labels that others gave the node stay, and what it has now replaces what it had', async (t) => {
  const { client, start, setStatus } = await open(t)
  const labels = { rack: '7', 'kubernetes.io/hostname': 'old' }
  await client.create(Node, { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n', labels } })
  await setStatus(Node, 'n', { capacity: { memory: '1Gi' } })
  await start(60_000)
  const made = await client.get(Node, { name: 'n' })
  assert.deepEqual(made?.metadata.labels, { rack: '7', 'kubernetes.io/hostname': 'n' })
  assert.deepEqual(made?.status?.capacity, { memory: '8Gi' })
})

test('a node that another client creates at the same time is no failure', async (t) => {
  const { client, server, start } = await open(t)
  server.beforeCreate = async () => {
    server.beforeCreate = async () => {}
    await client.create(Node, { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n' } })
  }
  await start(60_000)
  assert.deepEqual((await client.get(Node, { name: 'n' }))?.metadata.labels, node.labels)
})

test('a node that was deleted, or taken for dead, is back with the next beat', async (t) => {
  const { client, start, setStatus } = await open(t)
  await start()
  const isReady = async () =>
    findCondition((await client.get(Node, { name: 'n' }))?.status?.conditions, 'Ready')?.status === 'True'
  await client.delete(Node, { name: 'n' })
  await eventually('it is registered again', isReady)
  await setStatus(Node, 'n', { conditions: [{ type: 'Ready', status: 'Unknown' }] })
  await eventually('it is ready again', isReady)
  await client.delete(Lease, lease)
  await eventually('it has a lease again', () => client.get(Lease, lease))
})

test('a server that does not answer is reported once, and its return once', async (t) => {
  const { server, lines, start, beats } = await open(t)
  const heartbeat = await start()
  server.failure = new Fault('Unavailable', 'the server is gone')
  await beats(3)
  assert.deepEqual(lines, ['The lease of the node cannot be renewed'])
  server.failure = undefined
  await beats(3)
  assert.deepEqual(lines.slice(1), ['The lease of the node can be renewed again'])
  await heartbeat.stop()
  const { beats: last } = server
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(server.beats, last)
})
