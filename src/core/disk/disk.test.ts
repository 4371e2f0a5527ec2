import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Disk, Volume } from '#apis/kubevirt/disk.ts'
import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import { withDiskDefaults } from './defaults.ts'
import { claimOfFile, type DomainDisk, fileOf, guestDisks } from './disk.ts'

const spec = (disks: readonly Disk[] | undefined, volumes: readonly Volume[] = []): VmiSpec => ({
  domain: { devices: { ...(disks && { disks }) } },
  volumes,
})
const image = (name: string, image = 'debian:12'): Volume => ({ name, containerDisk: { image } })

test('disks are counted by the prefix of their bus, as Linux counts them', () => {
  const bus = (name: string, bus: string): Disk => ({ name, disk: { bus } })
  const targets = guestDisks(
    spec([
      bus('a', 'virtio'),
      bus('b', 'sata'),
      bus('c', 'virtio'),
      { name: 'd', cdrom: { bus: 'scsi' } },
      { name: 'e' },
    ]),
  ).map(({ disk }) => `${disk.name} ${disk.device} ${disk.bus} ${disk.target}`)
  assert.deepEqual(targets, [
    'a disk virtio vda',
    'b disk sata sda',
    'c disk virtio vdb',
    'd cdrom scsi sdb',
    'e disk sata sdc',
  ])
  const many = guestDisks(spec(Array.from({ length: 256 }, (_, i) => bus(`n${i}`, 'virtio')))).map(
    ({ disk }) => disk.target,
  )
  assert.deepEqual([many[25], many[26], many[27], many[255]], ['vdz', 'vdaa', 'vdab', 'vdiv'])
})

test('a CD-ROM is read-only unless it says otherwise, a disk when its claim is', () => {
  const claim: Volume = { name: 'c', persistentVolumeClaim: { claimName: 'x', readOnly: true } }
  const disks = guestDisks(
    spec(
      [
        { name: 'a', cdrom: {} },
        { name: 'b', cdrom: { readonly: false, tray: 'open' } },
        { name: 'c', disk: {} },
      ],
      [claim],
    ),
  ).map(({ disk }) => [disk.isReadOnly, disk.isTrayOpen])
  assert.deepEqual(disks, [
    [true, false],
    [false, true],
    [true, false],
  ])
})

test('a volume that no disk can be made of is no disk', () => {
  const volumes: Volume[] = [{ name: 'a', downwardMetrics: {} }, { name: 'b', serviceAccount: {} }, image('c')]
  assert.deepEqual(
    guestDisks(spec([{ name: 'a' }, { name: 'b' }, { name: 'c' }], volumes)).map(({ disk }) => disk.name),
    ['c'],
  )
})

test('the ending of a file says what it is', () => {
  const name = (file: DomainDisk['file']) => fileOf({ name: 'x', file })
  const overlay = { is: 'overlay', digest: 'd', format: 'raw', bytes: 1 } as const
  assert.deepEqual(name(overlay), { file: 'x.qcow2', format: 'qcow2' })
  assert.deepEqual(name({ is: 'iso', label: 'l', files: new Map() }), { file: 'x.iso', format: 'raw' })
  assert.deepEqual(name({ is: 'claim', uid: 'u', bytes: 1, isOverlaid: true }), { file: 'x.qcow2', format: 'qcow2' })
})

test('the file of a claim says whose it is', () => {
  const uid = '3e2ff6dc-6bbf-4d1a-8c54-2e6c1d0a6a4e'
  const { file, format } = fileOf({ name: 'x', file: { is: 'claim', uid, bytes: 1, isOverlaid: false } })
  assert.deepEqual([file, format, claimOfFile(file)], [`${uid}.img`, 'raw', uid])
  for (const other of [undefined, 'x.img', `${uid}.qcow2`, `x${uid}.img`]) assert.equal(claimOfFile(other), undefined)
})

test('volumes alone are enough: each gets a disk, and applying the result again changes nothing', () => {
  const given = spec(undefined, [image('root'), { name: 'seed', cloudInitNoCloud: { userData: 'x' } }])
  const once = withDiskDefaults(given)
  assert.deepEqual(once.domain.devices.disks, [{ name: 'root' }, { name: 'seed' }])
  assert.deepEqual(withDiskDefaults(once), once)
})

test('a disk without a bus gets sata, in whichever target it has', () => {
  const { domain } = withDiskDefaults(
    spec([
      { name: 'a', disk: {} },
      { name: 'b', cdrom: { tray: 'open' } },
      { name: 'c', disk: { bus: 'virtio' } },
    ]),
  )
  assert.deepEqual(domain.devices.disks, [
    { name: 'a', disk: { bus: 'sata' } },
    { name: 'b', cdrom: { bus: 'sata', tray: 'open' } },
    { name: 'c', disk: { bus: 'virtio' } },
  ])
})

test('a volume that a file system is of gets no disk', () => {
  const given: VmiSpec = {
    domain: { devices: { filesystems: [{ name: 'fs', virtiofs: {} }] } },
    volumes: [image('fs')],
  }
  assert.equal(withDiskDefaults(given).domain.devices.disks, undefined)
})

for (const [name, policy] of [
  ['fedora', 'Always'],
  ['fedora:latest', 'Always'],
  ['fedora:40', 'IfNotPresent'],
  ['fedora@sha256:abc', 'IfNotPresent'],
  // KubeVirt's quirk: a port counts as a tag.
  ['registry:5000/fedora', 'IfNotPresent'],
] as const)
  test(`the pull policy of ${name} is ${policy}`, () => {
    const [volume] = withDiskDefaults(spec([], [image('v', name)])).volumes ?? []
    assert.equal(volume?.containerDisk?.imagePullPolicy, policy)
  })

test('what has another shape is left for validation to refuse', () => {
  for (const bad of [{ disks: 'x' }, { disks: [null] }, { disks: [{ name: 'a', disk: 'x' }] }]) {
    const given = { domain: { devices: bad }, volumes: [image('v')] } as unknown as VmiSpec
    assert.doesNotThrow(() => withDiskDefaults(given))
  }
  const given = { domain: { devices: {} }, volumes: 'x' } as unknown as VmiSpec
  assert.equal(withDiskDefaults(given), given)
})
