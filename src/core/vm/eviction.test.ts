import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pod } from '#apis/core/pod.ts'
import type { VirtualMachineInstanceMigration } from '#apis/kubevirt/migration.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { activePodName } from '../migration/pod-role.ts'
import { decideEviction, evacuationStep, isToLeave } from './eviction.ts'
import type { Placement } from './scheduling.ts'

const pod = { metadata: { name: 'virt-launcher-a-1', namespace: 'ns', uid: 'p' } } as unknown as Pod
const vmi = (evictionStrategy: string | undefined, { phase = 'Running', canMove = true } = {}) =>
  ({
    metadata: { name: 'a', namespace: 'ns', uid: 'u' },
    spec: { ...(evictionStrategy && { evictionStrategy }) },
    status: {
      phase,
      activePods: { p: 'n1' },
      conditions: [{ type: 'LiveMigratable', status: canMove ? 'True' : 'False' }],
    },
  }) as unknown as VirtualMachineInstance
const there = { node: { metadata: { name: 'n2' } } } as Placement
const nowhere: Placement = { why: '0/1 nodes are available' }

const evict = (instance: VirtualMachineInstance, place = there, byDefault?: string) =>
  decideEviction({ ...pod, metadata: { ...pod.metadata, name: activePodName(instance) } }, instance, {
    byDefault,
    elsewhere: () => place,
  })

for (const [what, outcome, is] of [
  ['an instance that has ended', evict(vmi('LiveMigrate', { phase: 'Succeeded' })), 'deletePod'],
  ['no strategy', evict(vmi(undefined)), 'shutDown'],
  ['None', evict(vmi('None')), 'shutDown'],
  ['the strategy of the cluster', evict(vmi(undefined), there, 'LiveMigrate'), 'evacuate'],
  ["an instance's own before that of the cluster", evict(vmi('None'), there, 'LiveMigrate'), 'shutDown'],
  ['LiveMigrate', evict(vmi('LiveMigrate')), 'evacuate'],
  ['LiveMigrate of one that cannot move', evict(vmi('LiveMigrate', { canMove: false })), 'refuse'],
  ['LiveMigrate without another node', evict(vmi('LiveMigrate'), nowhere), 'refuse'],
  ['LiveMigrateIfPossible', evict(vmi('LiveMigrateIfPossible')), 'evacuate'],
  [
    'LiveMigrateIfPossible of one that cannot move',
    evict(vmi('LiveMigrateIfPossible', { canMove: false })),
    'shutDown',
  ],
  ['External, wherever it may go', evict(vmi('External'), nowhere), 'evacuate'],
] as const)
  test(`an eviction, ${what}: ${is}`, () => assert.equal(outcome.do, is))

test('the pod of a migration target or of an earlier instance is only deleted', () => {
  const other = { ...pod, metadata: { ...pod.metadata, name: 'virt-launcher-a-other' } }
  assert.deepEqual(decideEviction(other, vmi('LiveMigrate'), { byDefault: undefined, elsewhere: () => there }), {
    do: 'deletePod',
  })
})

test('a refusal says why, in the words of KubeVirt where it has some', () => {
  assert.deepEqual(evict(vmi('LiveMigrate', { canMove: false })), {
    do: 'refuse',
    text: 'VMI a is configured with an eviction strategy but is not live-migratable',
  })
  assert.deepEqual(evict(vmi('LiveMigrate')), {
    do: 'evacuate',
    text: 'Eviction triggered evacuation of VMI "ns/a"',
  })
  const refused = evict(vmi('LiveMigrate'), nowhere)
  assert.match(
    'text' in refused ? refused.text : '',
    /no other node can take it: 0\/1 nodes are available; stop the VM/,
  )
})

test('an instance is to leave the node it was evicted from, and no other', () => {
  const at = (nodeName: string, evacuationNodeName?: string) =>
    isToLeave({ status: { nodeName, ...(evacuationNodeName && { evacuationNodeName }) } } as VirtualMachineInstance)
  assert.deepEqual([at('n1', 'n1'), at('n2', 'n1'), at('n1')], [true, false, false])
})

const migration = (phase: string, endTimestamp?: string) =>
  ({ status: { phase, ...(endTimestamp && { migrationState: { endTimestamp } }) } }) as VirtualMachineInstanceMigration
const leaving = (nodeName: string, evacuationNodeName?: string) =>
  ({ status: { nodeName, ...(evacuationNodeName && { evacuationNodeName }) } }) as VirtualMachineInstance
const now = Date.parse('2026-01-01T00:01:00Z')

for (const [what, instance, own, step] of [
  ['was not evicted', leaving('n1'), [], { do: 'nothing' }],
  ['has left', leaving('n2', 'n1'), [], { do: 'forget' }],
  ['is to leave', leaving('n1', 'n1'), [], { do: 'migrate' }],
  ['is being moved', leaving('n1', 'n1'), [migration('Running')], { do: 'wait', againAfterMs: 30_000 }],
  [
    'could not be moved just now',
    leaving('n1', 'n1'),
    [migration('Failed', '2026-01-01T00:00:00Z'), migration('Failed', '2026-01-01T00:00:50Z')],
    { do: 'wait', againAfterMs: 20_000 },
  ],
  [
    'could not be moved a while ago',
    leaving('n1', 'n1'),
    [migration('Failed', '2026-01-01T00:00:30Z'), migration('Failed')],
    { do: 'migrate' },
  ],
] as const)
  test(`an instance that ${what}: ${step.do}`, () => assert.deepEqual(evacuationStep(instance, own, now), step))
