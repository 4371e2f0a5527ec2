import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import { changedVolumeErrors } from './hotplug.ts'

type Parts = readonly [disks: readonly object[], volumes: readonly object[]]

const drive = { name: 'cd', cdrom: { bus: 'sata' } }
const root = { name: 'root', disk: { bus: 'virtio' } }
const image = { name: 'root', containerDisk: { image: 'a' } }
const data = { name: 'data', disk: { bus: 'scsi' } }
const late = (name: string, claimName = 'c') => ({ name, persistentVolumeClaim: { claimName, hotpluggable: true } })
const before: Parts = [
  [root, drive, data],
  [image, late('data')],
]

function errors([disks, volumes]: Parts, [oldDisks, oldVolumes]: Parts = before): string[] {
  const spec = (all: readonly object[], of: readonly object[]) => ({ domain: { devices: { disks: all } }, volumes: of })
  return changedVolumeErrors(spec(disks, volumes) as VmiSpec, spec(oldDisks, oldVolumes) as VmiSpec).map(
    ({ message }) => message,
  )
}

test('volumes of an instance that can be plugged come and leave, and media of drives are changed', () => {
  const more = { name: 'more', disk: { bus: 'virtio' } }
  const changes: readonly Parts[] = [
    before,
    [[root, drive], [image]],
    [
      [root, drive, data, more],
      [image, late('data'), late('more', 'd')],
    ],
    [
      [root, drive, data],
      [image, late('data'), late('cd', 'd')],
    ],
  ]
  for (const change of changes) assert.deepEqual(errors(change), [])
  const medium: Parts = [
    [root, drive],
    [image, late('cd', 'd')],
  ]
  assert.deepEqual(
    errors(
      [
        [root, drive],
        [image, late('cd', 'e')],
      ],
      medium,
    ),
    [],
  )
})

test('everything else of them stays, in the words of KubeVirt', () => {
  const changes: readonly (readonly [Parts, string])[] = [
    [[[drive, data], [late('data')]], 'Number of permanent volumes has changed'],
    [[before[0], [{ ...image, containerDisk: { image: 'b' } }, late('data')]], 'permanent volume root, changed'],
    [[before[0], [image, late('data', 'other')]], 'hotplug volume data, changed'],
    [[[{ ...root, serial: 's' }, drive, data], before[1]], 'permanent disk root, changed'],
    [[[root, data], before[1]], 'permanent disk cd, changed'],
    [[[root, drive, { ...data, serial: 's' }], before[1]], 'hotplug disk data, changed'],
    [
      [
        [...before[0], { name: 'x', disk: { bus: 'scsi' } }],
        [...before[1], { name: 'x', emptyDisk: { capacity: '1Gi' } }],
      ],
      'volume x is not a PVC or DataVolume',
    ],
    [
      [
        [...before[0], { name: 'x', disk: { bus: 'sata' } }],
        [...before[1], late('x', 'd')],
      ],
      'hotplugged Disk x does not use a scsi or virtio bus',
    ],
    [
      [[root, drive, data, { name: 'x', disk: { bus: 'scsi' } }], before[1]],
      "spec.domain.devices.disks[3].Name 'x' not found.",
    ],
  ]
  for (const [change, text] of changes) assert.ok(errors(change).includes(text), `${text}: ${errors(change).join()}`)
})
