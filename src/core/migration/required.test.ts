import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Interface, InterfaceStatus } from '#apis/kubevirt/interface.ts'
import type { VirtualMachineInstanceMigration as Migration, MigrationPhase } from '#apis/kubevirt/migration.ts'
import type { VirtualMachineInstance, VmiSpec } from '#apis/kubevirt/vmi.ts'
import type { Condition } from '#apis/meta/object.ts'
import { noNetwork } from '../nic/nic.ts'
import { liveUpdate } from '../vm/live.ts'
import {
  attachmentMode,
  autoMigrationConfig,
  migrationRequired,
  migrationRequirement,
  workloadUpdate,
  workloadUpdateAnnotation,
} from './required.ts'

const nowMs = Date.parse('2026-01-01T00:01:00Z')
const ago = (seconds: number) => new Date(nowMs - seconds * 1000).toISOString()

const spec = (one: Partial<Interface>, networkName = 'red'): VmiSpec => ({
  domain: {
    devices: {
      interfaces: [
        { name: 'default', masquerade: {} },
        { name: 'a', ...one },
      ],
    },
  },
  networks: [
    { name: 'default', pod: {} },
    { name: 'a', multus: { networkName } },
  ],
})
const vmi = (
  own: VmiSpec,
  status?: Partial<InterfaceStatus>,
  conditions: Condition[] = [],
): VirtualMachineInstance => ({
  apiVersion: 'kubevirt.io/v1',
  kind: 'VirtualMachineInstance',
  metadata: { name: 'x', namespace: 'ns', uid: 'u' },
  spec: own,
  status: { phase: 'Running', conditions, interfaces: status ? [{ name: 'a', ...status }] : [] },
})
const bridge = { bridge: {} }
const plugged = { infoSource: 'domain, multus-status', podInterfaceName: 'pod1' }
const onRed = [{ name: 'ns/red', interface: 'pod1', dns: {} }]

const requirements: readonly [name: string, vmi: VirtualMachineInstance, requirement: string][] = [
  ['an interface that is there asks for nothing', vmi(spec(bridge), plugged), 'none'],
  ['one that is plugged may yet come in place', vmi(spec(bridge)), 'pending'],
  ['an SR-IOV one cannot', vmi(spec({ sriov: {} })), 'immediate'],
  ['one that is absent and still in the guest is not due', vmi(spec({ ...bridge, state: 'absent' }), plugged), 'none'],
  [
    'one that has left the guest is to leave the pod',
    vmi(spec({ ...bridge, state: 'absent' }), { ...plugged, infoSource: 'multus-status' }),
    'pending',
  ],
  ['one that is absent and nowhere asks for nothing', vmi(spec({ ...bridge, state: 'absent' })), 'none'],
  ['another network is at once', vmi(spec(bridge, 'blue'), plugged), 'immediate'],
  ['the same name in another namespace is another network', vmi(spec(bridge, 'other/red'), plugged), 'immediate'],
  ['no network is at once', vmi(spec(bridge, noNetwork), plugged), 'immediate'],
  ['no network is none that the pod lacks', vmi(spec(bridge, noNetwork), { infoSource: 'domain' }), 'none'],
  ['a network after none is at once', vmi(spec(bridge), { infoSource: 'domain' }), 'immediate'],
  [
    'one that is absent on no network is not due',
    vmi(spec({ ...bridge, state: 'absent' }), { infoSource: 'domain' }),
    'none',
  ],
  ['the same network with its namespace is the same', vmi(spec(bridge, 'ns/red'), plugged), 'none'],
]
test('required: where networks are attached in place, only what no running sandbox gets', () => {
  for (const [one, wanted] of [
    [vmi(spec({ sriov: {} })), 'immediate'],
    [vmi(spec({ sriov: {} }), plugged), 'none'],
    [vmi(spec({ sriov: {} }), { ...plugged, infoSource: 'multus-status' }), 'none'],
    [vmi(spec(bridge)), 'none'],
    [vmi(spec(bridge, 'blue'), plugged), 'none'],
  ] as const)
    assert.equal(migrationRequirement(one, onRed, 'InPlace'), wanted)
})

for (const [name, one, requirement] of requirements)
  test(`required: ${name}`, () => assert.equal(migrationRequirement(one, onRed), requirement))

const conditionCases: readonly [
  name: string,
  old: [status: 'True' | 'False', seconds: number] | undefined,
  requirement: 'none' | 'pending' | 'immediate',
  status: string | undefined,
][] = [
  ['nothing stays nothing', undefined, 'none', undefined],
  ['what may come in place is waited for', undefined, 'pending', 'False'],
  ['for fifteen seconds', ['False', 14], 'pending', 'False'],
  ['and no longer', ['False', 16], 'pending', 'True'],
  ['what cannot come in place is due at once', undefined, 'immediate', 'True'],
  ['also when it was waited for', ['False', 1], 'immediate', 'True'],
  ['what is due stays due', ['True', 1], 'pending', 'True'],
  ['until it is done', ['True', 1], 'none', undefined],
  ['what came in place is forgotten', ['False', 1], 'none', undefined],
]
for (const [name, old, requirement, status] of conditionCases)
  test(`MigrationRequired: ${name}`, () => {
    const before = old && { type: 'MigrationRequired', status: old[0], lastTransitionTime: ago(old[1]) }
    const { graceMs } = autoMigrationConfig(undefined)
    assert.equal(migrationRequired(before, requirement, { graceMs, nowMs })?.status, status)
  })

const migration = (phase: MigrationPhase, seconds: number, isOurs = true): Migration => ({
  apiVersion: 'kubevirt.io/v1',
  kind: 'VirtualMachineInstanceMigration',
  metadata: {
    name: phase,
    uid: `${phase}${seconds}`,
    ...(isOurs && { annotations: { [workloadUpdateAnnotation]: '' } }),
  },
  spec: { vmiName: 'x' },
  status: { phase, phaseTransitionTimestamps: [{ phase, phaseTransitionTimestamp: ago(seconds) }] },
})
const due = (seconds: number): Condition => ({
  type: 'MigrationRequired',
  status: 'True',
  lastTransitionTime: ago(seconds),
})
const able: Condition = { type: 'LiveMigratable', status: 'True' }

const updates: readonly [name: string, conditions: Condition[], own: Migration[], methods: string[], step: string][] = [
  ['nothing is required', [able], [], ['LiveMigrate'], 'nothing'],
  ['it is migrated when it has rested', [able, due(6)], [], ['LiveMigrate'], 'migrate'],
  ['it rests five seconds', [able, due(2)], [], ['LiveMigrate'], 'nothing 3000'],
  ['without methods it is for the owner', [able, due(6)], [], [], 'nothing'],
  ['one that cannot move is evicted if that is allowed', [due(6)], [], ['LiveMigrate', 'Evict'], 'evict'],
  ['or left', [due(6)], [], ['LiveMigrate'], 'nothing'],
  ['it is on its way', [able, due(6)], [migration('Running', 1)], ['LiveMigrate'], 'nothing'],
  [
    'one that failed is followed by another after a while',
    [able, due(60)],
    [migration('Failed', 5)],
    ['LiveMigrate'],
    'nothing 15000',
  ],
  [
    'a longer while after two',
    [able, due(60)],
    [migration('Failed', 30), migration('Failed', 5)],
    ['LiveMigrate'],
    'nothing 35000',
  ],
  [
    'one that succeeded makes that forgotten',
    [able, due(60)],
    [migration('Failed', 30), migration('Succeeded', 20), migration('Failed', 25)],
    ['LiveMigrate'],
    'migrate',
  ],
  ['what is not needed any more is withdrawn', [able], [migration('Pending', 1)], ['LiveMigrate'], 'withdraw'],
  ['but not an owner’s own', [able], [migration('Pending', 1, false)], ['LiveMigrate'], 'nothing'],
]
for (const [name, conditions, own, methods, step] of updates)
  test(`workload update: ${name}`, () => {
    const { updateDelayMs } = autoMigrationConfig(undefined)
    const found = workloadUpdate(vmi(spec(bridge), plugged, conditions), own, methods, { updateDelayMs, nowMs })
    assert.equal([found.do, 'againAfterMs' in found && found.againAfterMs].filter(Boolean).join(' '), step)
  })

test('networks come in place unless the cluster says otherwise', () => {
  const kubevirt = (network: object) => ({
    apiVersion: 'kubevirt.io/v1',
    kind: 'KubeVirt',
    metadata: { name: 'kubevirt' },
    spec: { configuration: { network } },
  })
  assert.equal(attachmentMode(undefined), 'InPlace')
  assert.equal(attachmentMode(kubevirt({ attachment: 'Migration' })), 'Migration')
  assert.deepEqual(autoMigrationConfig(undefined), { graceMs: 15_000, recheckMs: 10_000, updateDelayMs: 5000 })
  assert.equal(autoMigrationConfig(kubevirt({ autoMigration: { gracePeriodSeconds: 1 } })).graceMs, 1000)
})

test('absent is not carried over to pods whose interfaces have ordinal names', () => {
  const template = spec({ ...bridge, state: 'absent' })
  const absent = (podInterfaceName: string) => {
    const { spec: updated } = liveUpdate(template, vmi(spec(bridge), { ...plugged, podInterfaceName }), 'ns')
    return updated?.domain.devices.interfaces?.[1]?.state
  }
  assert.deepEqual([absent('pod1'), absent('net1')], ['absent', undefined])
})

test('where networks come by migration, absent is final, and a network changes only where the instance can move', () => {
  const gone = vmi(spec({ ...bridge, state: 'absent' }), { ...plugged, infoSource: 'multus-status' }, [able])
  assert.equal(liveUpdate(spec(bridge), gone, 'ns', 'Migration').spec, undefined)
  assert.equal(liveUpdate(spec(bridge), gone, 'ns').spec?.domain.devices.interfaces?.[1]?.state, undefined)
  const moved = (conditions: Condition[]) =>
    liveUpdate(spec(bridge, 'blue'), vmi(spec(bridge), plugged, conditions), 'ns', 'Migration')
  assert.equal(moved([able]).spec?.networks?.[1]?.multus?.networkName, 'blue')
  assert.deepEqual(moved([]), { restartRequired: true })
})
