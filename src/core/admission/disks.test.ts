import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import { bootOrderErrors } from './addresses.ts'
import { clusterConfig } from './config.ts'
import { diskErrors } from './disks.ts'
import { volumeErrors } from './volumes.ts'

const image = { containerDisk: { image: 'debian:12' } }
const rule = (text: string) => new RegExp(text)

/** Errors as `field: message` of a spec that is not of its type. */
function errorsOf(disks: unknown, volumes: unknown, gates: string[] = []): string[] {
  const spec = { domain: { devices: { disks } }, volumes } as unknown as VmiSpec
  const config = clusterConfig({
    spec: { configuration: { developerConfiguration: { featureGates: gates } } },
  } as never)
  return [...diskErrors(spec, 'spec'), ...volumeErrors(spec, 'spec', config), ...bootOrderErrors(spec, 'spec')].map(
    ({ field, message }) => `${field}: ${message}`,
  )
}

const at = 'spec.domain.devices.disks[0]'
/** By what is wrong: a disk `a` of one volume, and the errors (facts/disks.md §A3). */
const disks = [
  ['nothing', { disk: { bus: 'virtio' }, bootOrder: 1, serial: 'A_b.c+d-1', cache: 'none', io: 'native' }, []],
  ['no target', {}, []],
  ['two targets', { disk: {}, cdrom: {} }, [`${at}: ${at} can only have a single target type defined`]],
  [
    'an unknown bus',
    { disk: { bus: 'nvme' } },
    [`${at}.disk.bus: ${at} is set with an unrecognized bus nvme, must be one of: [virtio scsi sata usb]`],
  ],
  ['IDE', { disk: { bus: 'ide' } }, [`${at}.disk.bus: IDE bus is not supported`]],
  ['a virtio CD-ROM', { cdrom: { bus: 'virtio' } }, [`${at}.cdrom.bus: Bus type virtio is invalid for CD-ROM device`]],
  [
    'a read-only sata disk',
    { disk: { bus: 'sata', readonly: true } },
    [`${at}.disk.readonly: sata hard-disks do not support read-only.`],
  ],
  [
    'a tray',
    { cdrom: { tray: 'ajar' } },
    [`${at}.cdrom.tray: ${at}.cdrom.tray has invalid value ajar: must be open or closed`],
  ],
  ['a LUN', { lun: {} }, [`${at}.lun: ${at}.lun can only be mapped to a DataVolume or PersistentVolumeClaim volume.`]],
  ['boot order 0', { bootOrder: 0 }, [`${at}.bootOrder: ${at} must have a boot order > 0, if supplied`]],
  [
    'a serial with a space',
    { serial: 'a b' },
    [`${at}.serial: ${at}.serial must be made up of the following characters [A-Za-z0-9_.+-], if specified`],
  ],
  [
    'a long serial',
    { serial: 'a'.repeat(257) },
    [`${at}.serial: ${at}.serial must be less than or equal to 256 in length, if specified`],
  ],
  ['a cache', { cache: 'unsafe' }, [`${at}.cache: ${at}.cache has invalid value unsafe`]],
  [
    'an I/O mode',
    { io: 'uring' },
    [`${at}.io: Disk IO mode for ${at} is not supported. Supported modes are: native, threads.`],
  ],
  [
    'native I/O with a cache',
    { io: 'native', cache: 'writeback' },
    [`${at}.io: ${at}.io native needs cache none, and the cache is writeback`],
  ],
  ['an error policy', { errorPolicy: 'panic' }, [`${at}.errorPolicy: ${at}.errorPolicy has invalid value "panic"`]],
  [
    'a PCI address of a sata disk',
    { disk: { bus: 'sata', pciAddress: '0000:01:00.0' } },
    [`${at}.disk.pciAddress: disk ${at} - setting a PCI address is only possible with bus type virtio.`],
  ],
  [
    'a malformed PCI address',
    { disk: { bus: 'virtio', pciAddress: '1' } },
    [`${at}.disk.pciAddress: disk ${at} has malformed PCI address (1).`],
  ],
  [
    'a thread for a sata disk',
    { disk: { bus: 'sata' }, dedicatedIOThread: true },
    [`${at}.dedicatedIOThread: IOThreads are not supported for disks on a sata bus`],
  ],
  [
    'both block sizes',
    { blockSize: { custom: { logical: 512, physical: 512 }, matchVolume: {} } },
    [`${at}.blockSize: Block size matching can't be enabled together with a custom value`],
  ],
  [
    'a block size that is no power of 2',
    { disk: { bus: 'virtio' }, blockSize: { custom: { logical: 513, physical: 1024 } } },
    [
      `${at}.blockSize.custom.logical: Provided size of 513 is not supported; it must be a power of 2 from 512 to 2097152`,
    ],
  ],
  [
    'a logical size above the physical one',
    { disk: { bus: 'virtio' }, blockSize: { custom: { logical: 4096, physical: 512 } } },
    [`${at}.blockSize.custom.logical: Logical size 4096 must be the same or less than the physical size of 512`],
  ],
] as const
for (const [what, disk, expected] of disks)
  test(`a disk with ${what}`, () =>
    assert.deepEqual(errorsOf([{ name: 'a', ...disk }], [{ name: 'a', ...image }]), expected))

test('disks and volumes are paired by name, which each has once; an empty CD-ROM is enough', () => {
  const list = 'spec.domain.devices.disks'
  assert.deepEqual(errorsOf([{ name: 'b' }, { name: 'tray', cdrom: {} }], [{ name: 'a', ...image }]), [
    `${list}[0].name: ${list}[0].Name 'b' not found.`,
  ])
  assert.deepEqual(
    errorsOf(
      [{ name: 'a' }, { name: 'a' }],
      [
        { name: 'a', ...image },
        { name: 'a', ...image },
      ],
    ),
    [
      `${list}[1].name: ${list}[0] and ${list}[1] must not have the same Name.`,
      'spec.volumes[1].name: spec.volumes[0] and spec.volumes[1] must not have the same Name.',
    ],
  )
  const [disk, volume] = errorsOf([{ name: 'A_b' }], [{ name: 'A_b', ...image }])
  assert.match(disk ?? '', rule('lowercase RFC 1123 label'))
  assert.match(volume ?? '', rule('lowercase RFC 1123 label'))
  assert.match(
    errorsOf(
      Array.from({ length: 257 }, (_, i) => ({ name: `d${i}`, cdrom: {} })),
      [],
    )[0] ?? '',
    rule('exceeds the 256 element limit'),
  )
})

const v = 'spec.volumes[0]'
const volumes = [
  ['no source', {}, [`${v}: ${v} must have exactly one source type set`]],
  ['two sources', { ...image, emptyDisk: { capacity: '1Gi' } }, [`${v}: ${v} must have exactly one source type set`]],
  ['no image', { containerDisk: { image: '' } }, [`${v}.containerDisk.image: ${v}.containerDisk.image must be set`]],
  [
    'the root as its path',
    { containerDisk: { image: 'x', path: '/' } },
    [`${v}.containerDisk.path: ${v}.containerDisk.path must not point to root`],
  ],
  [
    'a path that leads out',
    { containerDisk: { image: 'x', path: '/disk/../etc/shadow' } },
    [`${v}.containerDisk.path: ${v}.containerDisk.path must be an absolute path to a file without relative components`],
  ],
  [
    'an unknown pull policy',
    { containerDisk: { image: 'x', imagePullPolicy: 'Sometimes' } },
    [
      `${v}.containerDisk.imagePullPolicy: Unsupported value: "Sometimes": supported values: "Always", "IfNotPresent", "Never"`,
    ],
  ],
  [
    'no size',
    { emptyDisk: { capacity: '0' } },
    [`${v}.emptyDisk.capacity: the size for volume ${v} is too low: it must be at least 1Mi`],
  ],
  [
    'two sources of user data',
    { cloudInitNoCloud: { userData: 'x', secretRef: { name: 's' } } },
    [`${v}.cloudInitNoCloud: ${v}.cloudInitNoCloud must have only one userdatasource set.`],
  ],
  [
    'two sources of network data',
    { cloudInitNoCloud: { networkData: 'x', networkDataBase64: 'eA==' } },
    [`${v}.cloudInitNoCloud: ${v}.cloudInitNoCloud must have only one networkdata source set.`],
  ],
  [
    'no cloud-init data',
    { cloudInitConfigDrive: {} },
    [
      `${v}.cloudInitConfigDrive: ${v}.cloudInitConfigDrive must have at least one userdatasource or one networkdatasource set.`,
    ],
  ],
  [
    'too much user data',
    { cloudInitNoCloud: { userData: 'x'.repeat(2049) } },
    [
      `${v}.cloudInitNoCloud.userData: ${v}.cloudInitNoCloud userdata exceeds 2048 byte limit. Should use UserDataSecretRef for larger data.`,
    ],
  ],
  [
    'user data that is no base64',
    { cloudInitNoCloud: { userDataBase64: '!' } },
    [`${v}.cloudInitNoCloud.userDataBase64: ${v}.cloudInitNoCloud.userDataBase64 is not a valid base64 value.`],
  ],
  ['a ConfigMap without a name', { configMap: {} }, [`${v}.configMap.name: ${v}.configMap.name is a required field`]],
  [
    'a DataVolume without a name',
    { dataVolume: { name: '' } },
    [`${v}.dataVolume.name: DataVolume 'name' must be set`],
  ],
  [
    'no answers for Windows',
    { sysprep: {} },
    [`${v}.sysprep: ${v} must have either a Secret or a ConfigMap set as the Sysprep source`],
  ],
  [
    'a disk of the host while the gate is closed',
    { hostDisk: { path: '/x', type: 'Disk' } },
    [`${v}: HostDisk feature gate is not enabled`],
  ],
] as const
for (const [what, source, expected] of volumes)
  test(`a volume with ${what}`, () => assert.deepEqual(errorsOf([{ name: 'a' }], [{ name: 'a', ...source }]), expected))

const h = `${v}.hostDisk`
for (const [what, hostDisk, expected] of [
  ['nothing', { path: '/x/a.img', type: 'DiskOrCreate', capacity: '1Gi' }, []],
  ['no path', { path: '', type: 'Disk' }, [`${h}.path: ${h}.path is required for hostDisk volume`]],
  [
    'a path that leads out',
    { path: '/x/../y', type: 'Disk' },
    [`${h}.path: ${h}.path must be an absolute path to a file without relative components`],
  ],
  [
    'an unknown type',
    { path: '/x', type: 'Block' },
    [`${h}.type: ${h}.type has invalid value 'Block', allowed are 'Disk' or 'DiskOrCreate'`],
  ],
  [
    'a size of a disk that exists',
    { path: '/x', type: 'Disk', capacity: '1Gi' },
    [`${h}.capacity: ${h}.capacity is allowed to pass only with ${h}.type equal to 'DiskOrCreate'`],
  ],
  [
    'no size of one that is made',
    { path: '/x', type: 'DiskOrCreate' },
    [`${h}.capacity: ${h}.capacity must be at least 1Mi for type 'DiskOrCreate'`],
  ],
] as const)
  test(`a disk of the host with ${what}`, () =>
    assert.deepEqual(errorsOf([{ name: 'a' }], [{ name: 'a', hostDisk }], ['HostDisk']), expected))
