import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import { desiredNics, linkOf, unsupportedInterface } from './desired.ts'
import { linkNames } from './names.ts'
import { noNetwork, type ObservedNic } from './nic.ts'
import { interfaceStatuses } from './status.ts'

const spec: VmiSpec = {
  domain: {
    devices: {
      interfaces: [
        { name: 'blue', bridge: {}, state: 'down', macAddress: '02-AA-BB-CC-DD-EE' },
        { name: 'default', masquerade: {}, macAddress: '02:00:00:00:00:01' },
        { name: 'gone', bridge: {}, state: 'absent' },
      ],
    },
  },
  networks: [
    { name: 'blue', multus: { networkName: 'blue-nad' } },
    { name: 'default', pod: {} },
    { name: 'gone', multus: { networkName: 'other/nad' } },
  ],
}

// facts/kubevirt.md, Appendix A: names checked with SHA-256.
for (const [network, pod] of [
  ['red', 'podb1f51a511f1'],
  ['blue', 'pod16477688c0e'],
  ['secondary-network', 'pod56a025b6623'],
] as const)
  test(`the pod interface of ${network} is ${pod}`, () => {
    assert.deepEqual(linkNames(network), { pod, bridge: `k6t-${pod.slice(3)}`, tap: `tap${pod.slice(3)}` })
  })

for (const [state, link] of [
  [undefined, 'up'],
  ['', 'up'],
  ['up', 'up'],
  ['linkUp', 'up'],
  ['down', 'down'],
  ['linkDown', 'down'],
] as const)
  test(`state ${state ?? 'unset'} means a link that is ${link}`, () => assert.equal(linkOf(state), link))

test('wanted interfaces have one spelling and no absent ones', () => {
  const nics = desiredNics(spec, 'ns')
  assert.deepEqual(
    nics.map(({ name, mac, network, link, binding, primary }) => ({ name, mac, network, link, binding, primary })),
    [
      {
        name: 'blue',
        mac: '02:aa:bb:cc:dd:ee',
        network: 'ns/blue-nad',
        link: 'down',
        binding: 'bridge',
        primary: false,
      },
      { name: 'default', mac: '02:00:00:00:00:01', network: 'pod', link: 'up', binding: 'masquerade', primary: true },
    ],
  )
})

test('a card on no network is on none of any namespace, with its link down whatever is declared', () => {
  const off = (state: string) => ({
    ...spec,
    domain: { devices: { interfaces: [{ name: 'blue', bridge: {}, state }] } },
    networks: [{ name: 'blue', multus: { networkName: noNetwork } }],
  })
  for (const state of ['up', 'down', '', 'linkUp']) {
    const [nic] = desiredNics(off(state), 'ns')
    assert.deepEqual([nic?.network, nic?.link, nic?.isPluggable], [noNetwork, 'down', true], state)
  }
  assert.deepEqual(desiredNics(off('absent'), 'ns'), [])
})

test('the status of a card on no network names no link of the pod, and no source for one', () => {
  const now = { ...observed[0]!, network: noNetwork }
  const [status] = interfaceStatuses(desiredNics(spec, 'ns'), [now], undefined, new Map())
  assert.deepEqual([status?.name, status?.linkState, status?.infoSource], ['blue', 'down', 'domain'])
  assert.equal(status?.podInterfaceName, undefined)
})

test('a binding that cannot be run is named with a remedy', () => {
  const passt: VmiSpec = { domain: { devices: { interfaces: [{ name: 'p', passtBinding: {} }] } } }
  assert.match(unsupportedInterface(passt) ?? '', /interface "p".*passtBinding.*use bridge or masquerade/)
  assert.equal(unsupportedInterface(spec), undefined)
})

const observed: ObservedNic[] = [
  {
    name: 'blue',
    mac: '02:aa:bb:cc:dd:ee',
    model: 'virtio',
    binding: 'bridge',
    network: 'ns/blue-nad',
    link: 'down',
    queues: 1,
  },
  {
    name: 'default',
    mac: '02:00:00:00:00:01',
    model: 'virtio',
    binding: 'masquerade',
    network: 'pod',
    link: 'up',
    queues: 3,
  },
]

test('status lists the primary first and reports what the hypervisor has, not what was asked', () => {
  const [first, second] = interfaceStatuses(
    desiredNics(
      {
        ...spec,
        domain: {
          devices: {
            interfaces:
              spec.domain.devices.interfaces?.map((one) => ({ ...one, ...(one.name === 'blue' && { state: 'up' }) })) ??
              [],
          },
        },
      },
      'ns',
    ),
    observed,
    undefined,
    new Map([['default', ['10.244.0.5']]]),
  )
  assert.deepEqual(first, {
    name: 'default',
    mac: '02:00:00:00:00:01',
    linkState: 'up',
    podInterfaceName: 'eth0',
    queueCount: 3,
    infoSource: 'domain',
    ipAddress: '10.244.0.5',
    ipAddresses: ['10.244.0.5'],
  })
  assert.equal(second?.linkState, 'down')
  assert.equal(second?.podInterfaceName, 'pod16477688c0e')
  assert.equal(second?.infoSource, 'domain, multus-status')
})

test('the guest agent adds device name and addresses, matched by MAC in any case', () => {
  const guest = [
    { name: 'eth1', mac: '02:AA:BB:CC:DD:EE', ips: ['192.168.1.5', 'fe80::1'] },
    { name: 'lo', mac: '00:00:00:00:00:00', ips: ['127.0.0.1'] },
  ]
  const list = interfaceStatuses(desiredNics(spec, 'ns'), observed, guest, new Map())
  const blue = list.find((one) => one.name === 'blue')
  assert.equal(blue?.interfaceName, 'eth1')
  assert.equal(blue?.infoSource, 'domain, guest-agent, multus-status')
  assert.deepEqual(blue?.ipAddresses, ['192.168.1.5', 'fe80::1'])
  assert.equal(list.length, 2, 'lo is nobody’s business')
})

test('at most ten guest-only interfaces are told, without link state', () => {
  const guest = Array.from({ length: 12 }, (_, i) => ({
    name: `dummy${i}`,
    mac: `0a:00:00:00:00:${String(i).padStart(2, '0')}`,
    ips: [],
  }))
  const list = interfaceStatuses([], [], guest, new Map())
  assert.equal(list.length, 10)
  assert.ok(
    list.every((one) => one.linkState === undefined && one.name === undefined && one.infoSource === 'guest-agent'),
  )
})

// facts/kubevirt.md §2.4 and §8.6: how what CNI gave and what the agent says come together.
for (const [what, given, told, expected] of [
  ['CNI wins', ['10.244.0.5'], ['10.0.2.2'], ['10.244.0.5']],
  ['the agent, where CNI gave none', [], ['192.168.1.5'], ['192.168.1.5']],
  ['nothing, once the guest has none', ['10.244.0.5'], [], []],
  ['each family by itself', ['10.244.0.5', 'fd00::5'], ['10.0.2.2'], ['10.244.0.5']],
  ['a family that only the guest has', ['10.244.0.5'], ['10.0.2.2', 'fd00::7'], ['10.244.0.5', 'fd00::7']],
  ['what CNI gave, while no agent speaks', ['10.244.0.5'], undefined, ['10.244.0.5']],
] as const)
  test(`addresses of an interface: ${what}`, () => {
    const [wanted] = desiredNics(
      {
        domain: { devices: { interfaces: [{ name: 'default', masquerade: {}, macAddress: '02:00:00:00:00:01' }] } },
        networks: [{ name: 'default', pod: {} }],
      },
      'ns',
    )
    const guest = told && [{ name: 'eth0', mac: '02:00:00:00:00:01', ips: [...told, 'fe80::1'] }]
    const [status] = interfaceStatuses([wanted!], [{ ...wanted!, queues: 1 }], guest, new Map([['default', given]]))
    assert.deepEqual(status?.ipAddresses ?? [], expected)
    assert.equal(status?.ipAddress, expected[0])
    const isSame = !told?.length || told.join() === expected.join()
    assert.deepEqual(status?.guestAddresses, isSame ? undefined : told)
  })

// Devices that share the MAC of a card: those on top of it, which KubeVirt takes for it (kubevirt#9600, kubevirt#18760).
const eth1 = { name: 'eth1', ips: ['192.168.5.7'] }
for (const [what, devices, given, before, expected] of [
  ['a VLAN without an address', [eth1, { name: 'eth1.100', ips: [] }], [], undefined, ['eth1', ['192.168.5.7']]],
  ['a VLAN with one', [eth1, { name: 'eth1.100', ips: ['10.1.0.5'] }], [], undefined, ['eth1', ['192.168.5.7']]],
  [
    'a VLAN listed first',
    [
      { name: 'vlan5', ips: ['10.1.0.5'] },
      { name: 'eth1', ips: [] },
    ],
    [],
    undefined,
    ['eth1', []],
  ],
  [
    'a bridge that took its address',
    [
      { name: 'br-ex', ips: ['10.1.0.5'] },
      { name: 'eth1', ips: [] },
    ],
    [],
    undefined,
    ['eth1', ['10.1.0.5']],
  ],
  ['the name it had before', [eth1, { name: 'lan0', ips: ['10.1.0.5'] }], [], 'lan0', ['lan0', ['10.1.0.5']]],
  ['what the guest has, not what CNI gave', [eth1], ['192.168.5.99'], undefined, ['eth1', ['192.168.5.7']]],
] as const)
  test(`the device and addresses of a bridged card: ${what}`, () => {
    const mac = '02:00:00:00:00:02'
    const [wanted] = desiredNics(
      {
        domain: { devices: { interfaces: [{ name: 'lan', bridge: {}, macAddress: mac }] } },
        networks: [{ name: 'lan', multus: { networkName: 'lan' } }],
      },
      'ns',
    )
    const guest = devices.map((one) => ({ ...one, mac: mac.toUpperCase() }))
    const was = before === undefined ? [] : [{ name: 'lan', interfaceName: before }]
    const list = interfaceStatuses(
      ...[[wanted!], [{ ...wanted!, queues: 1 }], guest, new Map([['lan', given]]), new Set<string>(), was],
    )
    assert.equal(list.length, 1)
    assert.deepEqual([list[0]?.interfaceName, list[0]?.ipAddresses ?? []], expected)
  })
