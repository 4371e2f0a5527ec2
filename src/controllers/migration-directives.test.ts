import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MigrationState } from '#apis/kubevirt/migration.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Stored } from '#apis/meta/object.ts'
import { silent } from '#base/log.ts'
import { direct, endAbandoned, isHandedOver } from './migration-directives.ts'

type Instance = Stored<VirtualMachineInstance>
type Context = Parameters<typeof direct>[0]

const running = { generation: 0, sequence: 1, guest: 'running', isUnderway: false } as const
const nothing = { generation: 0, sourceSequence: 1, guest: 'none' } as const
const bound: MigrationState = { migrationUid: 'm', targetNode: 'node2', source: running, target: nothing }

function instance(state: MigrationState, metadata = {}): Instance {
  return {
    metadata: { namespace: 'ns', name: 'x', uid: 'v', ...metadata },
    spec: { domain: { devices: {} } },
    status: { phase: 'Running', migrationState: state },
  } as unknown as Instance
}

/** What the controller reads, and what it wrote: `stored` is what the server has by now. */
function open(cached: Instance, { stored = cached, migrations = ['m'], pod = {} } = {}) {
  const events: string[] = []
  const server = { vmi: stored }
  const context = {
    client: {
      modify: async (_kind: unknown, _key: unknown, change: (one: Instance) => Instance | undefined) => {
        server.vmi = change(server.vmi) ?? server.vmi
        return server.vmi
      },
    },
    recorder: (_about: unknown, _type: string, reason: string, message: string) => events.push(`${reason}: ${message}`),
    log: silent,
    pods: { get: () => ({ metadata: pod }) },
    vmis: { get: () => cached },
    migrations: { indexed: () => migrations.map((uid) => ({ metadata: { uid } })) },
  } as unknown as Context
  return { context, events, state: () => server.vmi.status?.migrationState }
}

test('a guest both agents are ready to move is sent, once', async () => {
  const { context, state } = open(instance(bound))
  await direct(context, instance(bound))
  const { step, mode, startTimestamp } = state() ?? {}
  assert.deepEqual([step, mode, startTimestamp !== undefined], [{ generation: 1, do: 'send' }, 'PreCopy', true])
})

test('nothing is written by observations that are out of date by now', async () => {
  const newer = instance({ ...bound, source: { ...running, sequence: 2 } })
  const { context, state } = open(instance(bound), { stored: newer })
  await direct(context, instance(bound))
  assert.equal(state()?.step, undefined)
})

test('the end of a migration is written with an Event', async () => {
  const started = { ...bound, startTimestamp: '2026-01-01T00:00:00Z', step: { generation: 1, do: 'send' } as const }
  const gone = { generation: 1, sequence: 2, guest: 'gone', isUnderway: false } as const
  const arrived = { ...started, source: gone, target: { generation: 1, sourceSequence: 2, guest: 'running' } as const }
  const moved = open(instance(arrived))
  await direct(moved.context, instance(arrived))
  assert.deepEqual([moved.state()?.completed, moved.state()?.failed], [true, undefined])
  assert.deepEqual(moved.events, ['Migrated: The VirtualMachineInstance migrated to node node2.'])
  const back = { ...gone, guest: 'running', failure: 'the connection broke' } as const
  const failed = { ...started, source: back, target: { ...nothing, generation: 1, sourceSequence: 2 } }
  const stayed = open(instance(failed))
  await direct(stayed.context, instance(failed))
  assert.deepEqual([stayed.state()?.failed, stayed.state()?.failureReason], [true, 'the connection broke'])
  assert.match(stayed.events.join(), /^MigrationFailed: .*the connection broke$/)
})

for (const [what, metadata, pod] of [
  ['the instance', { deletionTimestamp: '2026-01-01T00:00:00Z' }, {}],
  ['the pod of the guest', {}, { deletionTimestamp: '2026-01-01T00:00:00Z' }],
] as const)
  test(`a guest is recalled when ${what} is deleted`, async () => {
    const state: MigrationState = {
      ...bound,
      startTimestamp: '2026-01-01T00:00:00Z',
      step: { generation: 1, do: 'send' },
      source: { ...running, generation: 1, isUnderway: true },
      target: { ...nothing, generation: 1, guest: 'incoming' },
    }
    const vmi = instance(state, metadata)
    const { context, state: after } = open(vmi, { pod })
    await direct(context, vmi)
    assert.deepEqual([after()?.step, after()?.abortStatus], [{ generation: 2, do: 'recall' }, 'Aborting'])
  })

test('a migration whose object is gone is called off; one whose object is there is left to it', async () => {
  const there = open(instance(bound))
  await endAbandoned(there.context, { namespace: 'ns', name: 'x' })
  assert.equal(there.state()?.failed, undefined)
  const gone = open(instance(bound), { migrations: ['another'] })
  await endAbandoned(gone.context, { namespace: 'ns', name: 'x' })
  assert.equal(gone.state()?.failed, true)
})

test('a migration is the agents’ from when the source has published until it has ended', () => {
  assert.equal(isHandedOver(instance(bound), 'm'), true)
  assert.equal(isHandedOver(instance(bound), 'other'), false)
  assert.equal(isHandedOver(instance({ ...bound, completed: true }), 'm'), false)
  const { source: _, ...early } = bound
  assert.equal(isHandedOver(instance(early), 'm'), false)
})
