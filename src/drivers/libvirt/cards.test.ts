import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DesiredNic } from '#core/nic/nic.ts'
import type { Attachment } from '#core/sandbox/plan.ts'
import { LibvirtCards } from './cards.ts'
import { deviceXml, readDomain } from './domain-xml.ts'
import { DomainHandle } from './handle.ts'
import type { Libvirt } from './rpc/libvirt.ts'

const { signal } = new AbortController()
const nic = (name: string): DesiredNic => ({
  ...{ name, mac: `02:00:00:00:00:0${name.length}`, model: 'virtio', binding: 'sriov', network: 'ns/fast', link: 'up' },
  ...{ primary: false, ports: [], guestCidr: '10.0.2.0/24', queues: 1 },
  links: { pod: 'podx', bridge: 'k6t-x', tap: 'tapx' },
})
const attachments = new Map<string, Attachment>(['a', 'bb'].map((name) => [name, nic(name)]))
const addresses: Readonly<Record<string, string>> = { a: '0000:01:10.0', bb: '0000:01:10.2' }

/** A guest with devices of the host, which releases one when it is asked, unless it is `deaf`. */
function guest(names: readonly string[] = [], deaf = '') {
  let devices = names.map((name) => [name, deviceXml(nic(name), addresses[name]!)] as const)
  const seen: string[] = []
  const libvirt: Pick<Libvirt, 'listDomains' | 'getXml' | 'attachDevice' | 'detachAlias'> = {
    listDomains: async () => [{ name: 'vm', uuid: 'u1', id: 1 }],
    getXml: async () => `<domain><uuid>u1</uuid><devices>${devices.map(([, xml]) => xml).join('')}</devices></domain>`,
    attachDevice: async (_, xml) => {
      seen.push('attach')
      devices = [...devices, [/ua-sriov-(\w+)/.exec(xml)?.[1] ?? '', xml]]
    },
    detachAlias: async (_, alias) => {
      seen.push(`detach ${alias}`)
      if (alias !== `ua-sriov-${deaf}`) devices = devices.filter(([name]) => alias !== `ua-sriov-${name}`)
    },
  }
  const cards = new LibvirtCards(new DomainHandle(libvirt as Libvirt, 'u1'), attachments, {
    ready: async (name) => {
      seen.push(`ready ${name}`)
      return addresses[name] ?? ''
    },
    idle: async (name) => void seen.push(`idle ${name}`),
  })
  return { cards, seen, xml: () => libvirt.getXml({} as never, 0) }
}

test('a device of the host is made ready before the guest gets it, by the alias of its interface', async () => {
  const { cards, seen, xml } = guest()
  await cards.plug(nic('a'), signal)
  await cards.plug(nic('a'), signal)
  assert.deepEqual(seen, ['ready a', 'attach'])
  const [read] = readDomain(await xml(), attachments).nics
  const { name, mac, model, binding, network, link, queues } = nic('a')
  assert.deepEqual(read, { name, mac, model, binding, network, link, queues })
  assert.match(
    await xml(),
    /<hostdev mode='subsystem' type='pci' managed='no'><source><address domain='0x0000' bus='0x01' slot='0x10' function='0x0'\/><\/source><alias name='ua-sriov-a'\/>/,
  )
})

test('before it migrates, a guest releases all of them, and they lose its MAC address', async () => {
  const { cards, seen } = guest(['a', 'bb'])
  await cards.detachDevices(signal)
  assert.deepEqual(seen, ['detach ua-sriov-a', 'detach ua-sriov-bb', 'idle a', 'idle bb'])
  await cards.detachDevices(signal)
  assert.equal(seen.length, 4)
})

test('one that does not release a device in time does not migrate, which is told in KubeVirt’s words', async () => {
  const { cards, seen } = guest(['a', 'bb'], 'bb')
  await assert.rejects(cards.detachDevices(signal, 0), {
    kind: 'Timeout',
    message: 'failed to wait for host-devices detach, timeout reached: [ua-sriov-a]/[ua-sriov-a ua-sriov-bb]',
  })
  assert.ok(!seen.some((one) => one.startsWith('idle')))
})
