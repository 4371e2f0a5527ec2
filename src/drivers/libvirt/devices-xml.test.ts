import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { DiskFile } from '#core/disk/disk.ts'
import { domainSpec } from '#core/vm/domain.ts'
import type { MadeDisk } from './disk-xml.ts'
import { domainXml, readDomain } from './domain-xml.ts'
import { childElements, findElement, parseXml, serializeXml, type XmlElement } from './xml.ts'

function vmi(domain: object, devices: object, spec: object = {}): VirtualMachineInstance {
  return {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachineInstance',
    metadata: { name: 'x', namespace: 'ns', uid: '3e2ff6dc-6bbf-4d1a-8c54-2e6c1d0a6a4e' },
    spec: { domain: { ...domain, devices }, ...spec },
  } as unknown as VirtualMachineInstance
}

const overlay: MadeDisk = {
  path: '/run/disks/root.qcow2',
  format: 'qcow2',
  cache: 'none',
  backing: { path: '/run/images/sha256-a/disk.raw', format: 'raw' },
}
const plain: MadeDisk = { path: '/run/disks/x.img', format: 'raw', cache: 'writethrough' }
const efi = { code: '/usr/share/OVMF/OVMF_CODE_4M.fd', variables: '/run/disks/VARS.fd' }

/** The domain of an instance, read again. `files` are those of its disks. */
function domainOf(
  of: VirtualMachineInstance,
  files: Record<string, MadeDisk> = {},
  firmware = undefined as typeof efi | undefined,
) {
  const named = Object.keys(files).map((name) => [name, { is: 'empty', bytes: 1 } satisfies DiskFile] as const)
  const spec = domainSpec(of, new Map(named))
  assert.ok(!('problem' in spec), JSON.stringify(spec))
  return (accelerator: 'kvm' | 'tcg' = 'tcg') =>
    parseXml(domainXml(spec, accelerator, { disks: new Map(Object.entries(files)), firmware }))
}
const disk = (name: string, more: object) => ({ name, ...more })
const volumes = (...names: string[]) => ({ volumes: names.map((name) => ({ name, emptyDisk: { capacity: '1Gi' } })) })
/** An element as text, in double quotes. */
const quoted = (one: XmlElement) => serializeXml(one).replaceAll("'", '"')
const text = (root: XmlElement, ...path: string[]) => {
  const found = findElement(root, ...path)
  return found && quoted(found)
}
const devicesIn = (root: XmlElement, name: string) => childElements(findElement(root, 'devices'), name)

test('a disk says its format, what it is over, and that nothing is below that', () => {
  const of = vmi(
    {},
    { disks: [disk('root', { disk: { bus: 'virtio' }, bootOrder: 1, serial: 's1' })] },
    volumes('root'),
  )
  const [one] = devicesIn(domainOf(of, { root: overlay })(), 'disk')
  assert.equal(
    one && quoted(one),
    '<disk type="file" device="disk" model="virtio-non-transitional">' +
      '<driver name="qemu" type="qcow2" cache="none" error_policy="stop" discard="unmap"/>' +
      '<source file="/run/disks/root.qcow2"/>' +
      '<backingStore type="file"><format type="raw"/><source file="/run/images/sha256-a/disk.raw"/><backingStore/></backingStore>' +
      '<target dev="vda" bus="virtio"/><serial>s1</serial><boot order="1"/><alias name="ua-root"/>' +
      '<address type="pci" domain="0x0000" bus="0x04" slot="0x00" function="0x0"/></disk>',
  )
})

test('a CD-ROM has a tray, an empty one no file; a SCSI disk has its place on the one controller', () => {
  const disks = [
    disk('cd', { cdrom: { bus: 'sata' } }),
    disk('tray', { cdrom: { bus: 'sata', tray: 'open' } }),
    disk('data', { disk: { bus: 'scsi' }, cache: 'writeback', shareable: true, errorPolicy: 'report' }),
  ]
  const root = domainOf(vmi({}, { disks }, volumes('cd', 'data')), { cd: plain, data: plain })()
  const [cd, tray, data] = devicesIn(root, 'disk')
  assert.ok(cd && tray && data)
  assert.equal(findElement(cd, 'readonly')?.name, 'readonly')
  assert.equal(findElement(cd, 'driver')?.attributes.discard, undefined)
  assert.deepEqual(findElement(tray, 'target')?.attributes, { dev: 'sdb', bus: 'sata', tray: 'open' })
  assert.equal(findElement(tray, 'source'), undefined)
  assert.deepEqual(findElement(data, 'address')?.attributes, {
    type: 'drive',
    controller: '0',
    bus: '0',
    target: '0',
    unit: '2',
  })
  assert.deepEqual(findElement(data, 'driver')?.attributes, {
    ...{ name: 'qemu', type: 'raw', cache: 'writeback', error_policy: 'report', discard: 'unmap' },
  })
  assert.equal(findElement(data, 'shareable')?.name, 'shareable')
})

test('a disk with the name of an interface has an alias of its own, and is read again by it', () => {
  const of = vmi(
    {},
    { disks: [disk('default', { disk: { bus: 'virtio' } })], interfaces: [{ name: 'default', masquerade: {} }] },
    { ...volumes('default'), networks: [{ name: 'default', pod: {} }] },
  )
  const root = domainOf(of, { default: plain })()
  const { disks, nics } = readDomain(serializeXml(root), new Map())
  assert.deepEqual(disks, [{ alias: 'ua-disk-default', target: 'vda', file: 'x.img' }])
  assert.deepEqual(
    nics.map(({ name }) => name),
    ['default'],
  )
})

test('disks come after interfaces and free ports, so that a plugged card keeps its address', () => {
  const interfaces = [{ name: 'a', masquerade: {} }]
  const disks = ['root', 'seed'].map((name) => disk(name, { disk: { bus: 'virtio' } }))
  const of = vmi({}, { disks, interfaces }, { ...volumes('root', 'seed'), networks: [{ name: 'a', pod: {} }] })
  const root = domainOf(of, { root: plain, seed: plain })()
  const bus = (one: XmlElement) => Number(findElement(one, 'address')?.attributes.bus)
  assert.deepEqual(devicesIn(root, 'interface').map(bus), [1])
  assert.deepEqual(devicesIn(root, 'disk').map(bus), [8, 9])
  const ports = devicesIn(root, 'controller').filter(({ attributes }) => attributes.model === 'pcie-root-port').length
  assert.equal(ports, 9, 'four for interfaces, three of them free, and five for other devices')
})

test('firmware: BIOS on the serial console, or UEFI with its variables, secure with SMM', () => {
  const bios = domainOf(vmi({ firmware: { bootloader: { bios: { useSerial: true } } } }, { disks: [disk('a', {})] }))()
  assert.match(text(bios, 'os') ?? '', /<bios useserial="yes"\/>/)
  const plainEfi = vmi({ firmware: { bootloader: { efi: { secureBoot: false } } } }, { disks: [disk('a', {})] })
  const uefi = domainOf(plainEfi, {}, efi)()
  assert.equal(
    text(uefi, 'os', 'loader'),
    '<loader readonly="yes" type="pflash">/usr/share/OVMF/OVMF_CODE_4M.fd</loader>',
  )
  assert.equal(text(uefi, 'os', 'nvram'), '<nvram>/run/disks/VARS.fd</nvram>')
  assert.equal(text(uefi, 'features', 'smm'), undefined)
  assert.equal(
    devicesIn(uefi, 'video')
      .map((one) => findElement(one, 'model')?.attributes.type)
      .join(),
    'bochs',
  )
  const secure = domainOf(vmi({ firmware: { bootloader: { efi: {} } } }, { disks: [disk('a', {})] }), {}, efi)()
  assert.match(text(secure, 'os', 'loader') ?? '', /secure="yes"/)
  assert.equal(text(secure, 'features', 'smm'), '<smm state="on"/>')
})

test('clock, CPU, SMBIOS and features are as they are declared', () => {
  const domain = {
    machine: { type: 'pc-q35-7.2' },
    cpu: { model: 'Haswell', features: [{ name: 'vmx', policy: 'disable' }], threads: 2 },
    clock: {
      utc: {},
      timer: { hpet: { present: false }, pit: { tickPolicy: 'delay' }, rtc: { tickPolicy: 'catchup' } },
    },
    firmware: { serial: 'abc' },
    chassis: { asset: 'a1' },
    features: { apic: { enabled: false }, hyperv: { relaxed: {}, spinlocks: { spinlocks: 8191 } } },
  }
  const make = domainOf(vmi(domain, { disks: [disk('a', {})] }))
  const root = make()
  assert.equal(findElement(root, 'os', 'type')?.attributes.machine, 'pc-q35-7.2')
  assert.equal(
    text(root, 'cpu'),
    '<cpu mode="custom" match="exact" check="none"><model fallback="forbid">Haswell</model>' +
      '<topology sockets="1" cores="1" threads="2"/><feature name="vmx" policy="disable"/></cpu>',
  )
  assert.equal(
    text(root, 'clock'),
    '<clock offset="utc" adjustment="reset"><timer name="rtc" present="yes" tickpolicy="catchup"/>' +
      '<timer name="pit" present="yes" tickpolicy="delay"/><timer name="hpet" present="no"/></clock>',
  )
  assert.match(
    text(root, 'sysinfo') ?? '',
    /<system><entry name="serial">abc<\/entry><\/system><chassis><entry name="asset">a1/,
  )
  assert.equal(text(root, 'features', 'apic'), undefined)
  assert.equal(text(root, 'features', 'hyperv'), undefined, 'QEMU has no enlightenments under emulation')
  assert.match(
    text(make('kvm'), 'features', 'hyperv') ?? '',
    /<relaxed state="on"\/><spinlocks state="on" retries="8191"\/>/,
  )
})

test('switches take devices away, and devices that are declared are there', () => {
  const off = { autoattachSerialConsole: false, autoattachGraphicsDevice: false, disks: [disk('a', {})] }
  const bare = domainOf(vmi({}, off))()
  for (const name of ['serial', 'graphics', 'video']) assert.equal(devicesIn(bare, name).length, 0, name)
  const on = {
    disks: [disk('a', { disk: { bus: 'usb' } })],
    inputs: [
      { name: 't', type: 'tablet', bus: 'usb' },
      { name: 'v', type: 'tablet', bus: 'virtio' },
    ],
    ...{
      sound: { name: 's' },
      watchdog: { name: 'w', i6300esb: { action: 'poweroff' } },
      tpm: {},
      video: { type: 'virtio' },
    },
  }
  const root = domainOf(vmi({}, on))()
  const shown = ['input', 'sound', 'watchdog', 'tpm', 'video', 'graphics'].map((name) =>
    devicesIn(root, name).map((one) => Object.values(one.attributes).join(' ')),
  )
  assert.deepEqual(shown, [
    ['tablet usb', 'tablet virtio'],
    ['ich9'],
    ['i6300esb poweroff'],
    ['tpm-tis'],
    [''],
    ['vnc'],
  ])
  const usb = devicesIn(root, 'controller').filter(({ attributes }) => attributes.type === 'usb')
  assert.deepEqual(
    usb.map(({ attributes }) => attributes.model),
    ['qemu-xhci'],
  )
})

test('a card has the boot order, the address and the ACPI index that are declared', () => {
  const interfaces = [{ name: 'a', bridge: {}, bootOrder: 2, pciAddress: '0000:05:00.0', acpiIndex: 7 }]
  const networks = [{ name: 'a', multus: { networkName: 'a' } }]
  const [card] = devicesIn(domainOf(vmi({}, { interfaces }, { networks }))(), 'interface')
  assert.ok(card)
  assert.equal(findElement(card, 'boot')?.attributes.order, '2')
  assert.equal(findElement(card, 'acpi')?.attributes.index, '7')
  assert.equal(findElement(card, 'address')?.attributes.bus, '0x05')
  assert.equal(findElement(card, 'rom'), undefined, 'its firmware boots from the network')
})
