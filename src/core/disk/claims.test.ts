import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Node } from '#apis/core/node.ts'
import type { PersistentVolumeClaim } from '#apis/core/persistentvolumeclaim.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import {
  type BindingWorld,
  bindingOf,
  boundStatus,
  claimWithDefaults,
  holderOf,
  isUsing,
  withVolume,
} from './claims.ts'

type Spec = PersistentVolumeClaim['spec']

function claim(spec: Spec = {}, metadata: Partial<PersistentVolumeClaim['metadata']> = {}): PersistentVolumeClaim {
  const size = { resources: { requests: { storage: '1Gi' } } }
  return {
    ...{
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name: 'c', namespace: 'ns', uid: 'u', ...metadata },
    },
    spec: { accessModes: ['ReadWriteOnce'], storageClassName: 'local', ...size, ...spec },
  }
}

function node(name: string, status: 'True' | 'False' = 'True', unschedulable = false): Node {
  const conditions = [{ type: 'Ready', status }]
  return { apiVersion: 'v1', kind: 'Node', metadata: { name }, spec: { unschedulable }, status: { conditions } }
}

const world = (over: Partial<BindingWorld> = {}): BindingWorld => ({
  nodes: [node('b'), node('a'), node('busy'), node('down', 'False'), node('cordoned', 'True', true)],
  claimsOn: (name) => (name === 'busy' ? 1 : 0),
  ...over,
})

for (const [what, given, over, wanted] of [
  ['the first of the ready nodes with the fewest claims', claim(), {}, 'a'],
  ['the node with the fewest claims', claim(), { nodes: [node('busy'), node('z')] }, 'z'],
  ['the node of the claim that it copies', claim(), { beside: 'busy' }, 'busy'],
  ['the node that an interrupted pass chose', withVolume(claim(), 'b'), {}, 'b'],
] as const)
  test(`a claim is bound on ${what}`, () => assert.deepEqual(bindingOf(given, world(over)), { node: wanted }))

for (const [what, given, over, wanted] of [
  ['of another class', claim({ storageClassName: 'fast' }), {}, /"fast" is not provisioned here; .* local$/],
  ['without a class', claim({ storageClassName: '' }), {}, /no storage class is set; .* local$/],
  ['that copies one that is not there', claim(), { beside: 'pending' }, /^the claim that is copied does not exist/],
  ['without a ready node', claim(), { nodes: [node('down', 'False')] }, /^0\/1 nodes are ready/],
] as const)
  test(`a claim ${what} waits and says why`, () => {
    const binding = bindingOf(given, world(over))
    assert.match('message' in binding ? binding.message : '', wanted)
  })

test('a bound claim names its volume and node, keeps what it had, and is the same when bound again', () => {
  const bound = withVolume(claim({}, { labels: { a: 'b' }, finalizers: ['x'] }), 'n')
  assert.deepEqual(bound.metadata.labels, { a: 'b', 'patchbay.dev/node': 'n' })
  assert.deepEqual(bound.metadata.finalizers, ['x', 'patchbay.dev/volume'])
  assert.equal(bound.spec.volumeName, 'pvc-u')
  assert.deepEqual(withVolume(bound, 'n'), bound)
  assert.deepEqual(boundStatus(bound), {
    phase: 'Bound',
    accessModes: ['ReadWriteOnce'],
    capacity: { storage: '1Gi' },
  })
})

test('users set neither the node nor the status of a claim, and need not name the volume again', () => {
  const { spec } = claim()
  const { storageClassName: _, ...without } = spec
  const forged = { ...claim(without, { labels: { 'patchbay.dev/node': 'x' } }), status: { phase: 'Bound' } }
  const made = claimWithDefaults(forged, undefined, false)
  assert.deepEqual(
    [made.metadata.labels, made.metadata.finalizers, made.status, made.spec.storageClassName],
    [undefined, ['kubernetes.io/pvc-protection'], { phase: 'Pending' }, 'local'],
  )
  const bound = withVolume(made, 'n')
  const again = claimWithDefaults(claim(without), bound, false)
  assert.deepEqual([again.metadata.labels, again.spec], [{ 'patchbay.dev/node': 'n' }, bound.spec])
  const odd = { ...claim(), spec: 'text' as unknown as Spec }
  assert.equal(claimWithDefaults(odd, undefined, false), odd)
})

type How = Readonly<{
  uid: string
  at?: string
  phase?: string
  shareable?: boolean
  ephemeral?: boolean
  /** Its volume can be plugged: it wants it, its guest has it, or its guest has not let go of it. */
  plug?: 'wanted' | 'there' | 'leaving'
}>

function user({ uid, at = '2026-01-01T00:00:00Z', phase, shareable = false, ephemeral = false, plug }: How) {
  const source = { persistentVolumeClaim: { claimName: 'c', ...(plug && { hotpluggable: true }) } }
  const persistentVolumeClaimInfo = { claimName: 'c' }
  const has = plug && {
    name: 'd',
    target: plug === 'wanted' ? '' : 'sda',
    hotplugVolume: {},
    persistentVolumeClaimInfo,
  }
  return {
    metadata: { name: uid, namespace: 'ns', uid, creationTimestamp: at },
    spec: {
      domain: { devices: { disks: [{ name: 'd', disk: {}, shareable }] } },
      volumes: plug === 'leaving' ? [] : [{ name: 'd', ...(ephemeral ? { ephemeral: source } : source) }],
    },
    ...(phase && { status: { phase, ...(has && { volumeStatus: [has] }) } }),
  } as unknown as VirtualMachineInstance
}

const late = '2026-01-02T00:00:00Z'
const run = 'Running'
const once = ['ReadWriteOnce']
const wanted = { uid: 'b', at: late, phase: run, plug: 'wanted' } as const
/** Guests that want, or have, a volume that can be plugged. */
const plugged: readonly (readonly [string, How, How, readonly string[], string | undefined])[] = [
  ['an older one that wants it, too', wanted, { ...wanted, uid: 'a', at: '2026-01-01T00:00:00Z' }, once, 'a'],
  ['a younger one that wants it, too', { ...wanted, uid: 'a', at: '2026-01-01T00:00:00Z' }, wanted, once, undefined],
  ['a younger one whose guest has it', wanted, { ...wanted, uid: 'c', at: late, plug: 'there' }, once, 'c'],
  ['one whose guest has not let go', wanted, { ...wanted, uid: 'c', plug: 'leaving' }, once, 'c'],
  ['a younger one that runs with it', wanted, { uid: 'c', at: late, phase: run }, once, 'c'],
  ['an older one without a node', wanted, { uid: 'a' }, once, undefined],
  ['a younger one with a node that wants to plug it', { uid: 'a' }, wanted, once, 'b'],
  ['one whose guest lets go of it, when the own guest has it', { ...wanted, plug: 'there' }, wanted, once, undefined],
]
for (const [what, mine, other, modes, holder] of [
  ['an older one', { uid: 'b', at: late }, { uid: 'a' }, ['ReadWriteOnce'], 'a'],
  ['a younger one that has not begun', { uid: 'a' }, { uid: 'b', at: late }, ['ReadWriteOnce'], undefined],
  ['a younger one that runs', { uid: 'a' }, { uid: 'b', at: late, phase: 'Running' }, ['ReadWriteOnce'], 'b'],
  ['one of the same second, by UID', { uid: 'b' }, { uid: 'a' }, ['ReadWriteOnce'], 'a'],
  ['one that has ended', { uid: 'b' }, { uid: 'a', phase: 'Failed' }, ['ReadWriteOnce'], undefined],
  ['itself', { uid: 'a' }, { uid: 'a', phase: 'Running' }, ['ReadWriteOnce'], undefined],
  ['one that shares', { uid: 'b', shareable: true }, { uid: 'a', shareable: true }, ['ReadWriteMany'], undefined],
  ['one that shares what cannot be', { uid: 'b', shareable: true }, { uid: 'a', shareable: true }, [], 'a'],
  ['one that does not share', { uid: 'b', shareable: true }, { uid: 'a' }, ['ReadWriteMany'], 'a'],
  ['one over it', { uid: 'b', ephemeral: true }, { uid: 'a', ephemeral: true }, ['ReadWriteOnce'], undefined],
  ...plugged,
  ['one that writes below', { uid: 'b', ephemeral: true }, { uid: 'a' }, ['ReadWriteOnce'], 'a'],
] as const)
  test(`a claim beside ${what}: ${holder ? 'is not used' : 'is used'}`, () => {
    const users = [user(mine), user(other)]
    assert.equal(holderOf(claim({ accessModes: [...modes] }), users[0]!, users), holder)
  })

for (const [what, how, isKept] of [
  ['that runs', { uid: 'a', phase: run }, true],
  ['that has ended', { uid: 'a', phase: 'Succeeded' }, false],
  ['that has no node', { uid: 'a' }, false],
  ['whose guest has it', { ...wanted, plug: 'there' }, true],
  ['whose guest has not let go of it', { ...wanted, plug: 'leaving' }, true],
  ['that waits to plug it', wanted, false],
] satisfies [string, How, boolean][])
  test(`a claim that is deleted is ${isKept ? 'kept for' : 'not kept for'} an instance ${what}`, () =>
    assert.equal(isUsing(user(how), claim()), isKept))
