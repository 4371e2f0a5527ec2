import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import { nameToRemove, newVolumeOf, withoutVolume, withVolume } from './edit-volumes.ts'

const options = { name: 'data', disk: {}, volumeSource: { persistentVolumeClaim: { claimName: 'c' } } }
const drive = { name: 'cd', cdrom: { bus: 'sata' } }

function spec(disks: readonly object[], volumes: readonly object[]): VmiSpec {
  return { domain: { devices: { disks } }, volumes } as never
}

function added(to: VmiSpec, over: object = {}) {
  const wanted = newVolumeOf({ ...options, ...over })
  return 'refuse' in wanted ? wanted : withVolume(to, wanted)
}

test('a volume comes with its disk, on bus scsi unless its disk says something else, and may leave again', () => {
  const edit = added(spec([], []))
  const volumes = [{ name: 'data', persistentVolumeClaim: { claimName: 'c', hotpluggable: true } }]
  assert.deepEqual(edit, { spec: spec([{ name: 'data', disk: { bus: 'scsi' } }], volumes) })
  assert.deepEqual(withoutVolume('spec' in edit ? edit.spec : spec([], []), 'data'), {
    spec: { domain: { devices: {} } },
  })
  const other = added(spec([], []), {
    disk: { disk: { bus: 'virtio' }, serial: 's', name: 'ignored' },
    volumeSource: { dataVolume: { name: 'd' } },
  })
  assert.deepEqual(other, {
    spec: spec(
      [{ disk: { bus: 'virtio' }, serial: 's', name: 'data' }],
      [{ name: 'data', dataVolume: { name: 'd', hotpluggable: true } }],
    ),
  })
})

test('a volume for an empty drive is its medium, and the drive stays when that leaves', () => {
  const edit = added(spec([drive], []), { name: 'cd' })
  const volumes = [{ name: 'cd', persistentVolumeClaim: { claimName: 'c', hotpluggable: true } }]
  assert.deepEqual(edit, { spec: spec([drive], volumes) })
  assert.deepEqual(withoutVolume(spec([drive], volumes), 'cd'), { spec: { domain: { devices: { disks: [drive] } } } })
})

test('what is refused is refused in the words of KubeVirt', () => {
  const there = spec(
    [],
    [
      { name: 'data', dataVolume: { name: 'd', hotpluggable: true } },
      { name: 'root', persistentVolumeClaim: { claimName: 'c' } },
    ],
  )
  const texts = [
    added(there, { name: '' }),
    added(there, { disk: undefined }),
    added(there, { volumeSource: undefined }),
    added(there, { volumeSource: { emptyDisk: {} } }),
    added(there),
    added(there, { name: 'x' }),
    added(there, { name: 'x', volumeSource: { dataVolume: { name: 'c' } } }),
    withoutVolume(there, 'x'),
    withoutVolume(there, 'root'),
    nameToRemove({}),
  ].map((edit) => (typeof edit === 'object' && 'refuse' in edit ? `${edit.refuse}: ${edit.text}` : edit))
  assert.deepEqual(texts, [
    'BadRequest: AddVolumeOptions requires name to be set',
    'BadRequest: AddVolumeOptions requires disk to not be nil',
    'BadRequest: AddVolumeOptions requires VolumeSource to not be nil',
    'BadRequest: AddVolumeOptions requires VolumeSource to be a dataVolume or a persistentVolumeClaim',
    'Conflict: Unable to add volume [data] because volume with that name already exists',
    'Conflict: Unable to add volume source [c] because it already exists',
    'Conflict: Unable to add volume source [c] because it already exists',
    'Conflict: Unable to remove volume [x] because it does not exist',
    'Conflict: Unable to remove volume [root] because it is not hotpluggable',
    'BadRequest: RemoveVolumeOptions requires name to be set',
  ])
})
