import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Fault } from '#base/fault.ts'
import type { DomainDisk } from '#core/disk/disk.ts'
import { LibvirtDisks } from './disks.ts'
import { DomainHandle } from './handle.ts'
import type { Libvirt } from './rpc/libvirt.ts'
import { childElements, findElement, parseXml, type XmlElement } from './xml.ts'

const { signal } = new AbortController()
const disk = (bus: 'scsi' | 'virtio', target: string): DomainDisk => ({
  ...{ name: 'data', device: 'disk', bus, target, errorPolicy: 'stop', bootOrder: 1 },
  ...{ isReadOnly: false, isShareable: false, isTrayOpen: false },
  file: { is: 'claim', uid: 'u', bytes: 1, isOverlaid: false },
})
const scsi = "<controller type='scsi' model='virtio-non-transitional'/>"
const ports = [1, 2, 3].map((index) => `<controller type='pci' index='${index}' model='pcie-root-port'/>`).join('')
const card = "<interface type='ethernet'><address type='pci' bus='0x01'/></interface>"
const drive =
  "<disk type='file' device='cdrom'><driver name='qemu' type='raw' cache='none'/><target dev='sda' bus='sata' tray='open'/><alias name='ua-cd'/><address type='drive' unit='0'/></disk>"

/** Disks of a guest with these devices, what libvirt was asked, and the files that were made. */
function world(devices: string, refusal?: string, locked = false) {
  const calls: [string, XmlElement | string][] = []
  const made: string[] = []
  const answer = async (what: string, xml: XmlElement | string) => {
    calls.push([what, xml])
    if (refusal) throw new Fault('Unavailable', refusal)
  }
  const libvirt: Partial<Libvirt> = {
    listDomains: async () => [{ name: 'x', uuid: 'u', id: 1 }] as never,
    getXml: async () => `<domain><uuid>u</uuid><devices>${devices}</devices></domain>`,
    attachDevice: async (_, xml) => answer('attach', parseXml(xml)),
    updateDevice: async (_, xml) => answer('update', parseXml(xml)),
    monitorCommand: async (_, { execute }) => {
      if (execute === 'query-block') return [{ qdev: '/machine/peripheral/ua-cd/virtio-backend', locked }]
      calls.push([String(execute), ''])
      throw new Fault('Unavailable', 'is locked')
    },
    detachAlias: async (_, alias) => answer('detach', alias),
  }
  const disks = new LibvirtDisks(new DomainHandle(libvirt as Libvirt, 'u'), {
    make: async ({ name }) => {
      made.push(name)
      return { path: '/run/disks/u.img', format: 'raw', cache: 'none' }
    },
    drop: async () => undefined,
  })
  return { disks, calls, made }
}

const only = (calls: readonly [string, XmlElement | string][]) => calls[0]?.[1] as XmlElement
const addressOf = (one: XmlElement) => findElement(one, 'address')?.attributes

test('a disk on virtio is on the last port that is free, so that cards have the first ones', async () => {
  const { disks, calls } = world(ports + card)
  await disks.attach(disk('virtio', 'vdb'), 'ua-data', signal)
  assert.deepEqual([addressOf(only(calls))?.type, addressOf(only(calls))?.bus], ['pci', '0x03'])
  assert.equal(findElement(only(calls), 'boot'), undefined)
})

test('a disk on SCSI is on the controller of the guest, under its own number; without one it is refused', async () => {
  const { disks, calls } = world(ports + scsi)
  await disks.attach(disk('scsi', 'sdc'), 'ua-data', signal)
  assert.deepEqual([addressOf(only(calls))?.controller, addressOf(only(calls))?.unit], ['0', '2'])
  const without = world(ports)
  await assert.rejects(without.disks.attach(disk('scsi', 'sda'), 'ua-data', signal), /without a SCSI controller/)
  assert.deepEqual([without.calls, without.made], [[], []])
})

test('what is done already is not done again', async () => {
  const there = world(drive.replaceAll('ua-cd', 'ua-data'))
  await there.disks.attach(disk('virtio', 'vda'), 'ua-data', signal)
  await there.disks.detach('ua-other', signal)
  assert.deepEqual([there.calls, there.made], [[], []])
})

test('a guest that was asked to let go is not a failure; anything else is', async () => {
  const asked = world(drive, 'Device virtio-disk1 is already in the process of unplug')
  await asked.disks.detach('ua-cd', signal)
  await assert.rejects(world(drive, 'no').disks.detach('ua-cd', signal), /no/)
})

test('a medium is changed in the drive as it is', async () => {
  const { disks, calls } = world(drive)
  const cd = { ...disk('scsi', 'sda'), name: 'cd', device: 'cdrom' } as const
  await disks.change(cd, 'ua-cd', signal)
  const names = (one: XmlElement) => childElements(one).map(({ name }) => name)
  assert.deepEqual(names(only(calls)), ['driver', 'target', 'alias', 'address', 'source', 'backingStore'])
  assert.equal(findElement(only(calls), 'source')?.attributes.file, '/run/disks/u.img')
  const full = world(drive.replace('<target', "<source file='/run/disks/u.img'/><backingStore/><target"))
  await full.disks.change({ ...cd, file: undefined }, 'ua-cd', signal)
  assert.deepEqual(names(only(full.calls)), ['driver', 'target', 'alias', 'address'])
  assert.deepEqual(full.made, [])
  await assert.rejects(full.disks.change(cd, 'ua-other', signal), /has no drive cd/)
})

test('a tray that the guest has locked is not waited for: the guest is asked to open it', async () => {
  const { disks, calls } = world(drive, undefined, true)
  const cd = { ...disk('scsi', 'sda'), name: 'cd', device: 'cdrom', file: undefined } as const
  await assert.rejects(
    disks.change(cd, 'ua-cd', signal),
    /uses drive cd and has locked its tray; it was asked to open it/,
  )
  assert.deepEqual(calls, [['blockdev-open-tray', '']])
})

for (const [refusal, text] of [
  ['internal error: No more available PCI slots', /no free port for disk data; unplug another device/],
  ['Failed to get "write" lock', /Another guest has the disk of volume data/],
] as const)
  test(`libvirt's "${refusal}" is told in a sentence`, () =>
    assert.rejects(world(ports, refusal).disks.attach(disk('virtio', 'vda'), 'ua-data', signal), text))
