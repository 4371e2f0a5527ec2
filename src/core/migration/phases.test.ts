import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Node } from '#apis/core/node.ts'
import type { Pod } from '#apis/core/pod.ts'
import type {
  VirtualMachineInstanceMigration as Migration,
  MigrationPhase,
  MigrationState,
} from '#apis/kubevirt/migration.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { migrationErrors, migrationWithDefaults } from './admission.ts'
import { migrationConfig } from './config.ts'
import { liveMigratable } from './migratable.ts'
import { type MigrationObservation, type MigrationStep, nextStep, withClaim, withMigrationPhase } from './phases.ts'
import { activePodName, isMigrating, podRole } from './pod-role.ts'
import { migrationLimits } from './state.ts'

const now = '2026-01-01T00:10:00Z'
const nowMs = Date.parse(now)

const migration = (phase?: MigrationPhase, over: Partial<Migration['metadata']> = {}, since = now): Migration => ({
  apiVersion: 'kubevirt.io/v1',
  kind: 'VirtualMachineInstanceMigration',
  metadata: { name: 'm', namespace: 'ns', uid: 'm-uid', creationTimestamp: '2026-01-01T00:00:00Z', ...over },
  spec: { vmiName: 'x' },
  ...(phase && { status: { phase, phaseTransitionTimestamps: [{ phase, phaseTransitionTimestamp: since }] } }),
})

const vmi = (state?: MigrationState, over: Partial<VirtualMachineInstance['status']> = {}): VirtualMachineInstance => ({
  apiVersion: 'kubevirt.io/v1',
  kind: 'VirtualMachineInstance',
  metadata: { name: 'x', namespace: 'ns', uid: 'vmi-uid' },
  spec: {
    domain: { devices: { interfaces: [{ name: 'default', masquerade: {} }] } },
    networks: [{ name: 'default', pod: {} }],
  },
  status: { phase: 'Running', nodeName: 'node1', ...(state && { migrationState: state }), ...over },
})

const pod = (ready: boolean): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'target', namespace: 'ns', uid: 'pod-uid', labels: { 'kubevirt.io/migrationJobUID': 'm-uid' } },
  spec: { nodeName: 'node2', containers: [] },
  status: {
    conditions: [
      ready
        ? { type: 'Ready', status: 'True' }
        : { type: 'Ready', status: 'False', reason: 'FailedSandbox', message: 'no room' },
    ],
  },
})
const node: Node = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'node2' } }
const own = (state: MigrationState = {}): MigrationState => ({
  migrationUid: 'm-uid',
  targetPod: 'target',
  sourcePod: 'home',
  ...state,
})

const seen = (over: Partial<MigrationObservation>): MigrationObservation => ({
  migration: migration(),
  vmi: vmi(),
  pod: undefined,
  placement: { node },
  all: [],
  config: migrationConfig(undefined),
  nowMs,
  ...over,
})
const brief = (step: MigrationStep) =>
  [
    step.do,
    'phase' in step && step.phase,
    'reason' in step && step.reason,
    'node' in step && step.node,
    'sourceNode' in step && step.sourceNode,
    'againAfterMs' in step && step.againAfterMs,
  ]
    .filter(Boolean)
    .join(' ')

const long = '2026-01-01T00:00:00Z'
const going = { deletionTimestamp: now }
const busy = (i: number, sourceNode: string): Migration => ({
  ...migration('Running', { name: `b${i}`, uid: `b${i}` }),
  spec: { vmiName: `other${i}` },
  status: { phase: 'Running', migrationState: { sourceNode } },
})

const claimed = (metadata = {}) => withClaim(migration('Pending', metadata), 'node1')

const cases: readonly [name: string, over: Partial<MigrationObservation>, step: string][] = [
  ['a new one waits for its turn', {}, 'phase Pending'],
  ['of two of one instance the older is first', { all: [migration(undefined, { uid: 'a-uid' })] }, 'nothing'],
  ['one that is over is in nobody’s way', { all: [migration('Failed', { uid: 'a-uid' })] }, 'phase Pending'],
  ['it claims its place', { migration: migration('Pending') }, 'claim node1'],
  ['a pod is made for it', { migration: claimed() }, 'createPod node2'],
  [
    'what is claimed holds, though there are more than may be by now',
    { migration: claimed(), all: [1, 2, 3, 4, 5].map((i) => busy(i, 'node1')) },
    'createPod node2',
  ],
  [
    'others that wait for their pods count',
    { migration: migration('Pending'), all: [1, 2].map((i) => claimed({ name: `b${i}`, uid: `b${i}` })) },
    'nothing',
  ],
  ['it is on its way to a node', { migration: migration('Pending'), pod: pod(false) }, 'phase Scheduling'],
  [
    'no node yet',
    { migration: migration('Pending'), placement: { why: '0/1 nodes are available: 1 Insufficient memory' } },
    'nothing 300000',
  ],
  [
    'no node for five minutes',
    { migration: migration('Pending', {}, long), placement: { why: '0/1 nodes are available: 1 Insufficient memory' } },
    'phase Failed the target pod was not scheduled within 300 s: 0/1 nodes are available: 1 Insufficient memory',
  ],
  [
    'as many as may be at a time',
    { migration: migration('Pending', {}, long), all: [1, 2, 3, 4, 5].map((i) => busy(i, `n${i}`)) },
    'nothing',
  ],
  [
    'as many as may leave a node',
    { migration: migration('Pending'), all: [1, 2].map((i) => busy(i, 'node1')) },
    'nothing',
  ],
  [
    'others leave other nodes',
    { migration: migration('Pending'), all: [1, 2].map((i) => busy(i, 'node3')) },
    'claim node1',
  ],
  ['its pod is not ready', { migration: migration('Scheduling', {}, now), pod: pod(false) }, 'nothing 900000'],
  [
    'its pod is not ready in time, as its owner set it',
    {
      migration: migration(
        'Scheduling',
        { annotations: { 'kubevirt.io/migrationPendingPodTimeoutSeconds': '3' } },
        long,
      ),
      pod: pod(false),
    },
    'phase Failed the target pod was not ready within 3 s: no room',
  ],
  ['its pod is ready', { migration: migration('Scheduling'), pod: pod(true) }, 'phase Scheduled'],
  ['its pod went away', { migration: migration('Scheduling') }, 'phase Failed the target pod is gone'],
  ['it is written into the instance', { migration: migration('Scheduled'), pod: pod(true) }, 'bind'],
  ['it has been', { migration: migration('Scheduled'), pod: pod(true), vmi: vmi(own()) }, 'phase PreparingTarget'],
  ['the target is being prepared', { migration: migration('PreparingTarget'), vmi: vmi(own()) }, 'nothing'],
  [
    'the target is ready',
    { migration: migration('PreparingTarget'), vmi: vmi(own({ targetNodeAddress: '::1' })) },
    'phase TargetReady',
  ],
  [
    'the source has begun',
    { migration: migration('TargetReady'), vmi: vmi(own({ startTimestamp: now })) },
    'phase Running',
  ],
  ['it is sent', { migration: migration('Running'), vmi: vmi(own({ startTimestamp: now })) }, 'nothing'],
  ['it arrived', { migration: migration('Running'), vmi: vmi(own({ completed: true })) }, 'phase Succeeded'],
  [
    'it did not',
    { migration: migration('Running'), vmi: vmi(own({ completed: true, failed: true, failureReason: 'why' })) },
    'phase Failed why',
  ],
  [
    'the instance ended',
    { migration: migration('Running'), vmi: vmi(undefined, { phase: 'Failed' }) },
    'phase Failed the VMI has ended',
  ],
  [
    'the instance is gone',
    { migration: migration('Pending'), vmi: undefined },
    'phase Failed the VMI does not exist any more',
  ],
  [
    'called off early',
    { migration: migration('Scheduling', going) },
    'phase Failed the migration was canceled before it began',
  ],
  ['called off', { migration: migration('Running', going), vmi: vmi(own()) }, 'abort'],
  [
    'called off and told so',
    { migration: migration('Running', going), vmi: vmi(own({ abortRequested: true })) },
    'nothing',
  ],
  [
    'called off too late',
    { migration: migration('Running', going), vmi: vmi(own({ completed: true })) },
    'phase Succeeded',
  ],
  ['over', { migration: migration('Succeeded') }, 'nothing'],
]
for (const [name, over, step] of cases)
  test(`migration: ${name}`, () => assert.equal(brief(nextStep(seen(over))), step))

test('a phase is entered once, with the time of it, and the last one is not left', () => {
  const one = withMigrationPhase(migration('Pending'), 'Scheduling', { vmi: vmi(), now })
  assert.equal(one.status?.migrationState?.sourceNode, 'node1')
  assert.equal(withMigrationPhase(one, 'Scheduling', { vmi: vmi(), now }), one)
  const failed = withMigrationPhase(one, 'Failed', { vmi: vmi(), now, reason: 'why' })
  assert.equal(failed.status?.migrationState?.failureReason, 'why')
  assert.equal(withMigrationPhase(failed, 'Succeeded', { vmi: vmi(), now }), failed)
  assert.deepEqual(
    failed.status?.phaseTransitionTimestamps?.map(({ phase }) => phase),
    ['Pending', 'Scheduling', 'Failed'],
  )
})

test('where a guest is changes when its migration is completed, and only then', () => {
  const roles = (state: MigrationState | undefined) =>
    ['home', 'target'].map((name) =>
      podRole(
        { metadata: { name, labels: name === 'target' ? { 'kubevirt.io/migrationJobUID': 'm-uid' } : {} } },
        vmi(state),
      ),
    )
  assert.deepEqual(roles(own()), ['active', 'target'])
  assert.deepEqual(roles(own({ completed: true })), ['released', 'active'])
  assert.deepEqual(roles(own({ completed: true, failed: true })), ['active', 'released'])
  // Made, and not yet written into the instance.
  assert.deepEqual(roles({ migrationUid: 'earlier', sourcePod: 'other', targetPod: 'home', completed: true }), [
    'active',
    'target',
  ])
  // Where the guest was before it was moved on has the label of an earlier migration.
  const before = { metadata: { name: 'home', labels: { 'kubevirt.io/migrationJobUID': 'earlier' } } }
  assert.equal(podRole(before, vmi(own({ completed: true }))), 'released')
  assert.match(activePodName(vmi()), /^virt-launcher-x-[0-9a-f]{5}$/)
  assert.deepEqual(
    [isMigrating(vmi()), isMigrating(vmi(own())), isMigrating(vmi(own({ completed: true })))],
    [false, true, false],
  )
})

test('a migration is refused in KubeVirt’s words', () => {
  const world = { instance: () => vmi(), migrations: () => [] as Migration[], isSystem: false }
  const says = (over: Partial<typeof world>, one: Migration = migration()) =>
    migrationErrors(one, undefined, { ...world, ...over } as typeof world).map(({ message }) => message)
  assert.deepEqual(says({}), [])
  assert.deepEqual(says({}, { ...migration(), spec: {} }), ['vmiName is missing'])
  assert.deepEqual(
    migrationErrors(migration(), undefined, { ...world, instance: () => undefined }).map(({ message }) => message),
    ['the VMI "ns/x" does not exist'],
  )
  assert.deepEqual(says({ instance: () => vmi(undefined, { phase: 'Succeeded' }) }), [
    'Cannot migrate VMI in finalized state.',
  ])
  const condition = liveMigratable({
    metadata: { name: 'x' },
    spec: { domain: { devices: { interfaces: [{ name: 'a', bridge: {} }] } }, networks: [{ name: 'a', pod: {} }] },
  })
  assert.deepEqual(says({ instance: () => vmi(undefined, { conditions: [condition] }) }), [
    'Cannot migrate VMI, Reason: InterfaceNotLiveMigratable, Message: cannot migrate VMI which does not use masquerade or a migratable plugin to connect to the pod network',
  ])
  assert.deepEqual(says({ migrations: () => [migration('Running')] }), [
    'in-flight migration detected. Active migration job (m-uid) is currently already in progress for VMI x.',
  ])
  assert.deepEqual(says({ migrations: () => [migration('Failed')] }), [])
  assert.match(
    says({}, { ...migration(), spec: { vmiName: 'x', priority: 'system-critical' } })[0] ?? '',
    /only virt-controller is allowed/,
  )
  assert.match(
    migrationErrors({ ...migration(), spec: { vmiName: 'y' } }, migration(), world)[0]?.message ?? '',
    /spec is restricted/,
  )
})

test('a new migration is found by its instance and kept until it is over', () => {
  const { metadata } = migrationWithDefaults(migration(), undefined)
  assert.equal(metadata.labels?.['kubevirt.io/vmi-name'], 'x')
  assert.deepEqual(metadata.finalizers, ['kubevirt.io/migrationJobFinalize'])
})

test('a bridge on the pod network is moved only when its owner allows that', () => {
  const spec = { domain: { devices: { interfaces: [{ name: 'a', bridge: {} }] } }, networks: [{ name: 'a', pod: {} }] }
  assert.equal(liveMigratable({ metadata: { name: 'x' }, spec }).status, 'False')
  const annotations = { 'kubevirt.io/allow-pod-bridge-network-live-migration': '' }
  assert.equal(liveMigratable({ metadata: { name: 'x', annotations }, spec }).status, 'True')
  const multus = { ...spec, networks: [{ name: 'a', multus: { networkName: 'n' } }] }
  assert.equal(liveMigratable({ metadata: { name: 'x' }, spec: multus }).status, 'True')
})

test('limits are those of the beginning, in the units of the hypervisor', () => {
  const limits = migrationLimits(
    vmi(own({ migrationConfiguration: { bandwidthPerMigration: '64Mi', completionTimeoutPerGiB: 10 } })),
  )
  assert.deepEqual(limits, {
    bandwidthMiBs: 64,
    maxDowntimeMs: 900,
    isAutoConverging: false,
    completionMs: 10_000,
    progressMs: 150_000,
  })
  assert.equal(migrationLimits(vmi()).bandwidthMiBs, undefined)
})
