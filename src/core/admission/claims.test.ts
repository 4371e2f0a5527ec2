import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DataVolume } from '#apis/cdi/datavolume.ts'
import type { PersistentVolumeClaim } from '#apis/core/persistentvolumeclaim.ts'
import type { StorageClass } from '#apis/storage/storageclass.ts'
import { claimErrors, classWithDefaults, storageClassErrors } from './claims.ts'
import { dataVolumeErrors } from './data-volumes.ts'

const resources = { requests: { storage: '1Gi' } }
const good = { accessModes: ['ReadWriteOnce'], resources }

function claim(spec: PersistentVolumeClaim['spec']): PersistentVolumeClaim {
  return { apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name: 'c', namespace: 'ns' }, spec }
}
const texts = (errors: readonly Readonly<{ field: string; message: string }>[]) =>
  errors.map(({ field, message }) => `${field}: ${message}`)

for (const [spec, wanted] of [
  [good, []],
  [
    {},
    ['spec.accessModes: Required value: at least 1 access mode is required', 'spec.resources[storage]: Required value'],
  ],
  [
    { accessModes: ['Often'], resources: { requests: { storage: 0 } }, storageClassName: 'A' },
    [
      'spec.accessModes: Unsupported value: "Often": supported values: "ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"',
      'spec.resources[storage]: Invalid value: "0": must be greater than zero',
      /^spec.storageClassName: Invalid value: "A": a lowercase RFC 1123 subdomain/,
    ],
  ],
  [
    { ...good, accessModes: ['ReadWriteOncePod', 'ReadWriteOnce'], volumeMode: 'Tape' },
    [
      'spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes',
      'spec.volumeMode: Unsupported value: "Tape": supported values: "Block", "Filesystem"',
    ],
  ],
  [
    { ...good, selector: {}, dataSource: { kind: 'VolumeSnapshot' } },
    [
      'spec.selector: Forbidden: spec.selector is refused: volumes are made for their claims; there are none to select',
      'spec.dataSource: Forbidden: spec.dataSource is refused: make the claim by a DataVolume with a source',
    ],
  ],
] as const)
  test(`a claim with ${JSON.stringify(spec)}`, () => {
    const found = texts(claimErrors(claim(spec as PersistentVolumeClaim['spec']), undefined, false))
    assert.equal(found.length, wanted.length, found.join('\n'))
    for (const [i, one] of wanted.entries())
      if (typeof one === 'string') assert.equal(found[i], one)
      else assert.match(found[i] ?? '', one)
  })

test('a claim stays as it is; the controller that binds it may write what it likes', () => {
  const old = claim({ ...good, volumeName: 'v' })
  assert.deepEqual(claimErrors(old, old, false), [])
  const smaller = claim({ ...good, volumeName: 'v', resources: { requests: { storage: '1Mi' } } })
  assert.deepEqual(texts(claimErrors(smaller, old, false)), [
    'spec.resources.requests.storage: Forbidden: field can not be less than status.capacity',
  ])
  const moved = claim({ ...good, volumeName: 'w' })
  assert.equal(claimErrors(moved, old, false).length, 1)
  assert.deepEqual(claimErrors(moved, old, true), [])
})

test('classes of storage are kept, with the defaults of Kubernetes', () => {
  const one = { apiVersion: 'storage.k8s.io/v1', kind: 'StorageClass', metadata: { name: 's' }, provisioner: 'p' }
  const stored: StorageClass = classWithDefaults(one)
  assert.deepEqual([stored.reclaimPolicy, stored.volumeBindingMode], ['Delete', 'Immediate'])
  assert.deepEqual(storageClassErrors(stored, undefined), [])
  assert.equal(storageClassErrors({ ...stored, provisioner: '', reclaimPolicy: 'Keep' }, stored).length, 3)
})

function dataVolume(spec: DataVolume['spec']): DataVolume {
  return { apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume', metadata: { name: 'd', namespace: 'ns' }, spec }
}
const storage = { resources }
for (const [spec, wanted] of [
  [{ source: { blank: {} }, storage }, undefined],
  [{ source: { blank: {} }, pvc: { resources } }, /at least 1 access mode/],
  [{ source: {}, storage }, /Missing dataVolume valid source/],
  [{ source: { http: { url: '' } }, storage }, /source URL is empty/],
  [{ source: { http: { url: 'no url' } }, storage }, /Invalid source URL: no url/],
  [
    { source: { registry: { url: 'oci://x/y' } }, storage },
    /Invalid registry URL scheme: oci:\/\/x\/y; use docker:\/\//,
  ],
  [{ source: { registry: { url: 'docker://x/y:1' } }, storage }, undefined],
  [{ source: { http: { url: 'http://x/y', checksum: 'sha256:12' } }, storage }, /is no checksum/],
  [{ source: { http: { url: 'http://x/y', secretRef: 's' } }, storage }, undefined],
  [{ source: { http: { url: 'http://x/y', extraHeaders: ['Host: x'] } }, storage }, /no header that can be sent/],
  [{ source: { pvc: { name: 'mine' } }, storage: {} }, undefined],
  [{ source: { pvc: { name: 'mine' } }, pvc: { accessModes: ['ReadWriteOnce'] } }, /PVC size is missing/],
  [{ source: { pvc: { namespace: 'other', name: 'theirs' } }, storage }, /insufficient permissions .* other/],
  [{ sourceRef: { kind: 'DataSource', name: 'x' }, storage: {} }, undefined],
  [{ sourceRef: { kind: 'DataSource', name: 'x', namespace: 'other' }, storage }, /insufficient permissions .* other/],
  [{ sourceRef: { kind: 'Disk', name: 'x' }, storage }, /SourceRef kind Disk is unsupported; use DataSource/],
  [{ source: { blank: {} }, sourceRef: { kind: 'DataSource', name: 'x' }, storage }, /either Source, SourceRef/],
  [{ source: { blank: {} }, storage, contentType: 'archive' }, /ContentType not one of/],
  [{ source: { blank: {} }, storage: { resources: { requests: { storage: '-1' } } } }, /equal or less than zero/],
] as const)
  test(`a DataVolume with ${JSON.stringify(spec)}`, () => {
    const dv = dataVolume(spec as DataVolume['spec'])
    const found = texts(dataVolumeErrors(dv, undefined, (_, namespace) => namespace === 'ns'))
    assert.equal(found.length, wanted ? 1 : 0, found.join('\n'))
    if (wanted) assert.match(found[0] ?? '', wanted)
    assert.deepEqual(
      dataVolumeErrors(dv, dv, () => false),
      [],
    )
  })

test('the spec of a DataVolume stays as it is', () => {
  const old = dataVolume({ source: { blank: {} }, storage })
  const found = dataVolumeErrors(dataVolume({ source: { blank: {} }, storage: {} }), old, () => true)
  assert.deepEqual(texts(found), ['spec: Cannot update DataVolume Spec'])
})
