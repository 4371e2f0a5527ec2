import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DesiredNic } from '#core/nic/nic.ts'
import type { Attachment } from '#core/sandbox/plan.ts'
import { assignSlots, devicesOf } from '#core/vm/devices.ts'
import type { DomainSpec } from '#core/vm/domain.ts'
import { hardwareOf } from '#core/vm/hardware.ts'
import { domainXml, linkUpdateXml, readDomain } from './domain-xml.ts'
import { endOf } from './guest-domain.ts'
import { findElement, parseXml, textOf } from './xml.ts'

const nic: DesiredNic = {
  name: 'blue',
  mac: '02:00:00:00:00:01',
  model: 'virtio',
  binding: 'bridge',
  network: 'ns/blue',
  link: 'up',
  primary: false,
  ports: [],
  guestCidr: '10.0.2.0/24',
  links: { pod: 'podx', bridge: 'k6t-x', tap: 'tapx' },
  queues: 1,
}
const hardware = hardwareOf({ spec: { domain: { devices: {} } } })
const spec = (nics: readonly DesiredNic[] = [nic]): DomainSpec => {
  const devices = devicesOf(nics, [], hardware)
  const slots = assignSlots(devices, { hotplugPorts: 4 - nics.length, extra: 2 })
  assert.ok(!('problem' in slots))
  return { ...bare, nics, devices, slots }
}
const bare = {
  name: 'ns_x',
  uuid: '3e2ff6dc-6bbf-4d1a-8c54-2e6c1d0a6a4e',
  isPaused: false,
  memoryKiB: 131072,
  sockets: 1,
  cores: 2,
  threads: 1,
  kernel: { image: 'demo-guest', kernelPath: '/vmlinuz', initrdPath: '/initrd.img', args: 'console=ttyS0 a<b & "c"' },
  hardware,
  disks: [],
}
const xmlOf = (one: DomainSpec, accelerator: 'kvm' | 'tcg' = 'tcg') =>
  domainXml(one, accelerator, { disks: new Map(), firmware: undefined })
const attachments = new Map<string, Attachment>([['blue', { ...nic, ports: [] }]])

/** Every field of an interface, in both of two values where it has them. */
const variants = [
  nic,
  { ...nic, link: 'down' as const },
  { ...nic, model: 'e1000e' },
  { ...nic, queues: 4 },
  { ...nic, mac: '02:00:00:00:00:ff' },
]
for (const one of variants)
  test(`an interface reads back as it was written: ${JSON.stringify([one.link, one.model, one.queues, one.mac])}`, () => {
    const { name, mac, model, binding, network, link, queues } = one
    assert.deepEqual(readDomain(xmlOf(spec([one])), attachments).nics, [
      { name, mac, model, binding, network, link, queues },
    ])
  })

test('ports nothing is on are free: what is on one has its bus for an address', () => {
  const ports = (nics: readonly DesiredNic[]) => readDomain(xmlOf(spec(nics)), attachments).ports
  // Four for interfaces, three for other devices that are on them, and extra ones.
  assert.deepEqual(ports([nic]), { total: 9, free: 5 })
  assert.deepEqual(ports([]), { total: 9, free: 6 })
})

test('text of a manifest cannot break out of the XML', () => {
  const root = parseXml(xmlOf(spec()))
  assert.equal(textOf(findElement(root, 'os', 'cmdline')), 'console=ttyS0 a<b & "c"')
})

test('the accelerator decides about domain type and processor', () => {
  const read = (accelerator: 'kvm' | 'tcg') => {
    const root = parseXml(xmlOf(spec(), accelerator))
    return [root.attributes.type, findElement(root, 'cpu')?.attributes.mode]
  }
  assert.deepEqual(read('tcg'), ['qemu', 'maximum'])
  assert.deepEqual(read('kvm'), ['kvm', 'host-passthrough'])
})

test('a link update is the live interface with its link replaced and nothing else', () => {
  const live = xmlOf(spec()).replace('</interface>', "<address type='pci' slot='0x00'/></interface>")
  const down = parseXml(linkUpdateXml(live, 'blue', 'down') ?? '')
  assert.equal(findElement(down, 'link')?.attributes.state, 'down')
  assert.equal(findElement(down, 'address')?.attributes.type, 'pci')
  const back = parseXml(
    linkUpdateXml(`<domain><devices>${linkUpdateXml(live, 'blue', 'down')}</devices></domain>`, 'blue', 'up') ?? '',
  )
  assert.deepEqual(back.children.filter((child) => typeof child !== 'string' && child.name === 'link').length, 1)
  assert.equal(findElement(back, 'link')?.attributes.state, 'up')
  assert.equal(linkUpdateXml(live, 'red', 'up'), undefined)
})

const started = '2026-01-01: starting up libvirt version: 9.0.0\n'
for (const [log, end] of [
  ['', undefined],
  [started, 'crashed'],
  [`${started}2026: shutting down, reason=shutdown\n`, 'shutdown'],
  [`${started}2026: shutting down, reason=destroyed\nqemu: terminating on signal 15\n`, 'destroyed'],
  [`${started}2026: shutting down, reason=crashed\n`, 'crashed'],
  [`${started}2026: shutting down, reason=failed\n`, undefined],
] as const)
  test(`a QEMU log that ends in ${log.trim().split('reason=')[1] ?? (log ? 'nothing' : 'no start')} tells of ${end ?? 'no guest'}`, () =>
    assert.equal(endOf(log), end))

test('disks are read with their file, and with a tray that is open', () => {
  const disk = (more: string) =>
    `<disk type='file' device='cdrom'>${more}<alias name='ua-cd'/></disk><disk type='file'><target dev='vda'/><alias name='ua-a'/></disk>`
  const read = (more: string) => readDomain(`<domain><devices>${disk(more)}</devices></domain>`, new Map()).disks
  const other = { alias: 'ua-a', target: 'vda' }
  assert.deepEqual(read("<target dev='sda' tray='open'/>"), [{ alias: 'ua-cd', target: 'sda', isOpen: true }, other])
  const full = read("<source file='/run/disks/x.img'/><target dev='sda' tray='closed'/>")
  assert.deepEqual(full, [{ alias: 'ua-cd', target: 'sda', file: 'x.img' }, other])
})
