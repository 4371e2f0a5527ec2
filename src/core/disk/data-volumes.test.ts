import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DataVolume, DataVolumeSource, DataVolumeSpec } from '#apis/cdi/datavolume.ts'
import type { PersistentVolumeClaim } from '#apis/core/persistentvolumeclaim.ts'
import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import { findCondition } from '../vm/conditions.ts'
import { withVolume } from './claims.ts'
import { contentOf } from './content.ts'
import { claimOf, dataVolumeFailure, isHandedOver, plannedStatus, populatedStatus } from './data-volumes.ts'
import { dataVolumesReady, readinessOf } from './readiness.ts'

const now = '2026-01-01T00:00:00Z'
const storage = { resources: { requests: { storage: '2Gi' } } }

function dataVolume(spec: DataVolumeSpec, status?: DataVolume['status']): DataVolume {
  return {
    ...{ apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume' },
    metadata: { name: 'd', namespace: 'ns', uid: 'dv' },
    ...{ spec, ...(status && { status }) },
  }
}
const blank = dataVolume({ source: { blank: {} }, storage })
const clone = dataVolume({ source: { pvc: { name: 's' } }, storage: {} })
const made = claimOf(blank, undefined)!
const bound: PersistentVolumeClaim = { ...withVolume(made, 'n'), status: { phase: 'Bound' } }

test('the claim of a DataVolume has its name, size and owner; a copy may have the size of its source', () => {
  assert.deepEqual(made.metadata.ownerReferences?.[0], {
    ...{ apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume', name: 'd', uid: 'dv' },
    ...{ controller: true, blockOwnerDeletion: true },
  })
  assert.deepEqual([made.spec.accessModes, made.spec.resources], [['ReadWriteOnce'], storage.resources])
  assert.equal(claimOf(clone, undefined), undefined)
  assert.deepEqual(claimOf(clone, bound)?.spec.resources, storage.resources)
})

test('a source says what is to be on the disk', () => {
  const none = { source: undefined, secret: () => undefined, configMap: () => undefined }
  const of = (source: DataVolumeSource) => contentOf(dataVolume({ source, storage }), none)
  assert.deepEqual(of({ blank: {} }), { is: 'blank' })
  assert.deepEqual(of({ http: { url: 'http://x/y', checksum: 'md5:z' } }), {
    is: 'image',
    pull: { reference: 'http://x/y', isAlways: true, checksum: 'md5:z' },
  })
  assert.deepEqual(of({ registry: { url: 'docker://registry.example/a:1' } }), {
    is: 'image',
    pull: { reference: 'registry.example/a:1', isAlways: true },
  })
  assert.deepEqual(contentOf(clone, none), { is: 'waiting' })
  const source = { ...bound, metadata: { ...bound.metadata, uid: 'u' } }
  assert.deepEqual(contentOf(clone, { ...none, source }), { is: 'clone', from: 'u', fromBytes: 2 ** 31 })
})

test('a DataVolume is Pending until its claim is bound, then scheduled, and its agent reports the rest', () => {
  const pending = plannedStatus(blank, made, { now })
  assert.deepEqual([pending?.phase, findCondition(pending?.conditions, 'Bound')?.message], ['Pending', 'PVC d Pending'])
  const none = plannedStatus(clone, undefined, { problem: 'Source pvc ns/s not found', now })
  assert.equal(findCondition(none?.conditions, 'Bound')?.message, 'Source pvc ns/s not found')
  const scheduled = plannedStatus(blank, bound, { now })
  assert.equal(scheduled?.phase, 'ImportScheduled')
  assert.equal(plannedStatus(clone, bound, { now })?.phase, 'CloneScheduled')
  const over = { ...blank, ...(scheduled && { status: scheduled }) }
  assert.deepEqual([isHandedOver(blank), isHandedOver(over)], [false, true])
  assert.equal(plannedStatus(over, undefined, { now }), scheduled)
  const running = populatedStatus(over, { is: 'running', part: 0.1234 }, { now })
  assert.deepEqual([running.phase, running.progress], ['ImportInProgress', '12.34%'])
  assert.equal(findCondition(running.conditions, 'Ready')?.reason, 'TransferRunning')
  const failed = populatedStatus(
    { ...over, status: running },
    { is: 'failed', message: 'm', isFinal: false },
    { restarts: 1, now },
  )
  assert.deepEqual([failed.phase, failed.restartCount, failed.progress], ['ImportInProgress', 1, '12.34%'])
  assert.equal(dataVolumeFailure({ status: failed }), 'm')
  const final = populatedStatus(over, { is: 'failed', message: 'm', isFinal: true }, { now })
  assert.equal(final.phase, 'Failed')
  const done = populatedStatus({ ...over, status: failed }, { is: 'done' }, { now })
  assert.deepEqual([done.phase, done.progress, done.restartCount], ['Succeeded', '100.0%', 1])
  assert.deepEqual(
    [findCondition(done.conditions, 'Ready')?.status, dataVolumeFailure({ status: done })],
    ['True', undefined],
  )
})

const spec: Pick<VmiSpec, 'volumes'> = { volumes: [{ name: 'v', dataVolume: { name: 'd' } }] }
const withPhase = (phase: string): DataVolume => ({ ...blank, status: { phase } })
for (const [what, claim, dv, wanted] of [
  ['nothing', undefined, undefined, 'FailedPvcNotFound'],
  ['a DataVolume without a claim', undefined, blank, 'DataVolumesNotReady'],
  ['a DataVolume that is imported', bound, withPhase('ImportInProgress'), 'DataVolumesNotReady'],
  ['a DataVolume that failed', bound, withPhase('Failed'), 'DataVolumeError'],
  ['a claim that is not bound', made, withPhase('Succeeded'), 'WaitingForVolumeBinding'],
  [
    'a claim that is being deleted',
    { ...bound, metadata: { ...bound.metadata, deletionTimestamp: now } },
    undefined,
    'FailedPvcNotFound',
  ],
  ['a claim that is bound', bound, withPhase('Succeeded'), 'n'],
  ['a claim without its DataVolume', bound, undefined, 'n'],
] as const)
  test(`an instance with ${what}: ${wanted}`, () => {
    const world = { claim: () => claim, dataVolume: () => dv, users: () => [] }
    const readiness = readinessOf(spec, 'ns', world)
    assert.equal('waits' in readiness ? readiness.waits : readiness.node, wanted)
    const ready = dataVolumesReady(spec, world)
    assert.equal(ready?.reason, dv && (dv.status?.phase === 'Succeeded' ? 'AllDVsReady' : 'NotAllDVsReady'))
  })
