import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Interface, Network } from '#apis/kubevirt/interface.ts'
import type { KubeVirt } from '#apis/kubevirt/kubevirt.ts'
import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import { clusterConfig, kubeVirtErrors } from './config.ts'
import { interfaceErrors } from './interfaces.ts'

// facts/kubevirt.md §8.8, beyond the rows of admission.test.ts.

const nad: Network = { name: 'foo', multus: { networkName: 'nad' } }
const pod: Network = { name: 'foo', pod: {} }
const at = 'fake.domain.devices.interfaces[0]'
const kubevirt = (configuration: object) => ({ spec: { configuration } }) as unknown as KubeVirt

type Row = readonly [
  name: string,
  nic: Omit<Interface, 'name'>,
  network: Network,
  errors: readonly string[],
  more?: Readonly<{ configuration?: object; isNew?: boolean; spec?: Partial<VmiSpec> }>,
]

const ports = (...list: NonNullable<Interface['ports']>): Omit<Interface, 'name'> => ({ masquerade: {}, ports: list })
const range = (start: number, end: number, protocol?: string) => ({ start, end, ...(protocol && { protocol }) })
const ranges = (...list: NonNullable<Interface['portRanges']>): Omit<Interface, 'name'> => ({
  masquerade: {},
  portRanges: list,
})
const gate = (...featureGates: string[]) => ({ configuration: { developerConfiguration: { featureGates } } })
const open = gate('PortRangesSpec')
const permitting = { network: { permitBridgeInterfaceOnPodNetwork: true } }
const claim = (claimName?: string, requestName?: string): Network => ({
  name: 'foo',
  resourceClaim: { ...(claimName && { claimName }), ...(requestName && { requestName }) },
})
const dra = { ...gate('NetworkDevicesWithDRA'), spec: { resourceClaims: [{ name: 'c' }] } }

const roomless = 'must be no more than 254 bytes: there is no room for more in DHCP'

const rows: readonly Row[] = [
  [
    'a boot file of 255 bytes',
    { bridge: {}, dhcpOptions: { bootFileName: `${'ü'.repeat(127)}x` } },
    nad,
    [`${at}.dhcpOptions.bootFileName | ${roomless}`],
  ],
  ['a boot file of 254 bytes', { bridge: {}, dhcpOptions: { bootFileName: 'ü'.repeat(127) } }, nad, []],
  [
    'a TFTP server of two lines',
    { bridge: {}, dhcpOptions: { tftpServerName: 'a\nb' } },
    nad,
    [`${at}.dhcpOptions.tftpServerName | must have no control characters`],
  ],
  [
    'a private option of 255 bytes',
    { bridge: {}, dhcpOptions: { privateOptions: [{ option: 240, value: 'x'.repeat(255) }] } },
    nad,
    [`${at}.dhcpOptions.privateOptions[0] | ${roomless}`],
  ],
  [
    'an IPv6 network of its own',
    { masquerade: {} },
    { name: 'foo', pod: { vmIPv6NetworkCIDR: 'fd10:0:2::/120' } },
    [
      'fake.networks[0].pod.vmIPv6NetworkCIDR | Invalid value: "fd10:0:2::/120": guests have no IPv6 here, because the pod network has none; leave it out',
    ],
  ],
  [
    'PCI address 0000:80.10.1',
    { bridge: {}, pciAddress: '0000:80.10.1' },
    nad,
    [`${at}.pciAddress | interface ${at}.name has malformed PCI address (0000:80.10.1).`],
  ],
  [
    'PCI address 0000:80:80:1.0',
    { bridge: {}, pciAddress: '0000:80:80:1.0' },
    nad,
    [`${at}.pciAddress | interface ${at}.name has malformed PCI address (0000:80:80:1.0).`],
  ],
  [
    'PCI address 0000:80:11.15',
    { bridge: {}, pciAddress: '0000:80:11.15' },
    nad,
    [`${at}.pciAddress | interface ${at}.name has malformed PCI address (0000:80:11.15).`],
  ],
  ['PCI address 0000:81:11.1', { bridge: {}, pciAddress: '0000:81:11.1' }, nad, []],
  ['PCI address 0001:02:00.0', { bridge: {}, pciAddress: '0001:02:00.0' }, nad, []],
  ['ACPI index 0', { bridge: {}, acpiIndex: 0 }, nad, [`${at}.acpiIndex | acpiIndex must be in range 1 to 16383`]],
  ['port with a name only', ports({ name: 'test' }), pod, [`${at}.ports[0] | Port field is mandatory.`]],
  [
    'port with a bad protocol',
    ports({ protocol: 'bad', port: 80 }),
    pod,
    [`${at}.ports[0].protocol | Unknown protocol, only TCP or UDP allowed`],
  ],
  ['port 80000', ports({ port: 80_000 }), pod, [`${at}.ports[0] | Port field must be in range 0 < x < 65536.`]],
  [
    'two ports of one name',
    ports({ name: 'testport', port: 80 }, { name: 'testport', protocol: 'UDP', port: 80 }),
    pod,
    [`${at}.ports[1].name | Duplicate name of the port: testport`],
  ],
  ['port name Test', ports({ name: 'Test', port: 80 }), pod, [`${at}.ports[0].name | Invalid name of the port: Test`]],
  ['port 80', ports({ port: 80 }), pod, []],
  ['one number with and without protocol', ports({ port: 80 }, { protocol: 'UDP', port: 80 }), pod, []],
  ['TCP and UDP', ports({ protocol: 'TCP', port: 80 }, { protocol: 'UDP', port: 80 }), pod, []],
  [
    'portRanges, gate shut',
    ranges(range(1, 2)),
    pod,
    [`${at}.portRanges | portRanges is specified on interface but the PortRangesSpec feature gate is not enabled`],
  ],
  ['portRanges', ranges(range(1, 2), range(2, 3, 'UDP')), pod, [], open],
  [
    'portRanges without masquerade',
    { bridge: {}, portRanges: [range(1, 2)] },
    nad,
    [`${at}.portRanges | portRanges are only supported on masquerade interfaces`],
    open,
  ],
  [
    'portRanges and ports',
    { ...ranges(range(1, 2)), ports: [{ port: 80 }] },
    pod,
    [`${at}.portRanges | Cannot define both ports and portRanges on interface`],
    open,
  ],
  [
    'portRanges with a bad protocol',
    ranges(range(1, 2, 'SCTP')),
    pod,
    [`${at}.portRanges[0].protocol | Unknown protocol, only TCP or UDP allowed`],
    open,
  ],
  [
    'portRanges with a bad start',
    ranges(range(0, 2)),
    pod,
    [`${at}.portRanges[0].start | Start must be a valid port number, 0 < x < 65536`],
    open,
  ],
  [
    'portRanges with a bad end',
    ranges(range(1, 70_000)),
    pod,
    [`${at}.portRanges[0].end | End must be a valid port number, 0 < x < 65536`],
    open,
  ],
  [
    'portRanges the wrong way round',
    ranges(range(5, 2)),
    pod,
    [`${at}.portRanges[0] | Start must be less than or equal to end`],
    open,
  ],
  [
    'portRanges that overlap',
    ranges(range(80, 200), range(150, 300)),
    pod,
    [`${at}.portRanges[1] | TCP portRanges [80-200] and [150-300] overlap`],
    open,
  ],
  [
    'eleven portRanges',
    ranges(...Array.from({ length: 11 }, (_, i) => range(i + 1, i + 1))),
    pod,
    [`${at}.portRanges | No more than 10 portRanges are allowed`],
    open,
  ],
  [
    'DHCP option 223',
    { bridge: {}, dhcpOptions: { privateOptions: [{ option: 223, value: 'a' }] } },
    nad,
    [`${at}.dhcpOptions.privateOptions[0] | provided DHCPPrivateOptions are out of range, must be in range 224 to 254`],
  ],
  [
    'one DHCP option twice',
    {
      bridge: {},
      dhcpOptions: {
        privateOptions: [
          { option: 240, value: 'a' },
          { option: 240, value: 'b' },
        ],
      },
    },
    nad,
    [`${at}.dhcpOptions.privateOptions[1] | Found Duplicates: you have provided duplicate DHCPPrivateOptions`],
  ],
  [
    'NTP servers by IPv6 address and name',
    { bridge: {}, dhcpOptions: { ntpServers: ['::1', 'hostname', '127.0.0.1'] } },
    nad,
    [
      `${at}.dhcpOptions.ntpServers[0] | NTP servers must be a list of valid IPv4 addresses.`,
      `${at}.dhcpOptions.ntpServers[1] | NTP servers must be a list of valid IPv4 addresses.`,
    ],
  ],
  [
    'bridge on the pod network where nobody permits it',
    { bridge: {} },
    pod,
    [`${at}.name | Bridge on pod network configuration is not enabled under kubevirt-config`],
  ],
  ['bridge on the pod network where that is permitted', { bridge: {} }, pod, [], { configuration: permitting }],
  [
    'passtBinding, gate shut',
    { passtBinding: {} },
    pod,
    [`${at}.name | PasstBinding feature gate is not enabled`],
    { configuration: { developerConfiguration: { disabledFeatureGates: ['PasstBinding'] } } },
  ],
  ['passtBinding', { passtBinding: {} }, pod, []],
  ['passt in a new VM', { passt: {} }, pod, [`${at}.passt | Passt network binding has been discontinued since v1.3`]],
  [
    'macvtap in a new VM',
    { macvtap: {} },
    nad,
    [`${at}.macvtap | Macvtap network binding has been discontinued since v1.3`],
  ],
  ['slirp in a VM that has it already', { slirp: {} }, pod, [], { isNew: false }],
  [
    'DRA, gate shut',
    { sriov: {} },
    claim('c', 'r'),
    ['fake.networks | vmi.spec.networks contains DRA networks but NetworkDevicesWithDRA feature gate is not enabled'],
  ],
  ['DRA', { sriov: {} }, claim('c', 'r'), [], dra],
  [
    'DRA without a claim',
    { sriov: {} },
    claim(undefined, 'r'),
    ['fake.networks[0].resourceClaim.claimName | claimName is required for DRA network'],
    dra,
  ],
  [
    'DRA without a request',
    { sriov: {} },
    claim('c'),
    ['fake.networks[0].resourceClaim.requestName | requestName is required for DRA network'],
    dra,
  ],
  [
    'DRA with an unknown claim',
    { sriov: {} },
    claim('x', 'r'),
    [
      'fake.networks[0].resourceClaim.claimName | network references resourceClaim "x" which is not defined in spec.resourceClaims',
    ],
    dra,
  ],
  [
    'DRA with a bridge',
    { bridge: {} },
    claim('c', 'r'),
    ['fake.networks[0].resourceClaim | DRA network "foo" requires an SR-IOV or binding plugin interface'],
    dra,
  ],
  ['no network', { bridge: {}, state: 'up' }, { name: 'foo', multus: { networkName: 'patchbay-none' } }, []],
  [
    'no network with another binding',
    { sriov: {} },
    { name: 'foo', multus: { networkName: 'patchbay-none' } },
    [`${at}.name | Sriov interface cannot be on "patchbay-none", which takes bridge binding`],
  ],
  [
    'no network for the default one',
    { bridge: {} },
    { name: 'foo', multus: { networkName: 'patchbay-none', default: true } },
    [
      'fake.networks[0].multus.networkName | "patchbay-none" is no network, and cannot be the default one; leave multus.default out',
    ],
  ],
  [
    'boot order 0',
    { bridge: {}, bootOrder: 0 },
    nad,
    [`${at}.bootOrder | ${at}.bootOrder must have a boot order > 0, if supplied`],
  ],
]
for (const [name, nic, network, expected, { configuration = {}, isNew = true, spec = {} } = {}] of rows)
  test(`admission: ${name}`, () => {
    const errors = interfaceErrors(
      { domain: { devices: { interfaces: [{ name: 'foo', ...nic }] } }, networks: [network], ...spec },
      'fake',
      { config: clusterConfig(kubevirt(configuration)), isNew },
    )
    assert.deepEqual(
      errors.map(({ field, message }) => `${field} | ${message}`),
      expected,
    )
  })

const two = (
  networks: readonly [Network, Network],
  nics: readonly [Partial<Interface>, Partial<Interface>],
  config = {},
) =>
  interfaceErrors(
    {
      domain: { devices: { interfaces: nics.map((nic, i) => ({ name: networks[i]!.name, ...nic })) } },
      networks,
      resourceClaims: [{ name: 'c' }],
    },
    'fake',
    { config: clusterConfig(kubevirt(config)) },
  ).map(({ message }) => message)

test('admission: two Multus defaults; pod network and Multus default', () => {
  const standard = (name: string): Network => ({ name, multus: { networkName: 'nad', default: true } })
  assert.deepEqual(two([standard('a'), standard('b')], [{ bridge: {} }, { bridge: {} }]), [
    'Multus CNI should only have one default network',
  ])
  assert.deepEqual(two([pod, standard('b')], [{ bridge: {} }, { bridge: {} }], permitting), [
    'Pod network cannot be defined when Multus default network is defined',
  ])
})

test('admission: DRA networks beside Multus, and one request twice', () => {
  const config = { developerConfiguration: { featureGates: ['NetworkDevicesWithDRA'] } }
  assert.deepEqual(two([claim('c', 'r'), { ...nad, name: 'b' }], [{ sriov: {} }, { bridge: {} }], config), [
    'mixing Multus and DRA resourceClaim networks in the same VMI is not supported',
  ])
  assert.deepEqual(two([claim('c', 'r'), { ...claim('c', 'r'), name: 'b' }], [{ sriov: {} }, { sriov: {} }], config), [
    'duplicate claimName/requestName combination "c/r"',
  ])
})

test('admission: one boot order for two devices, disks among them', () => {
  const devices = { interfaces: [{ name: 'foo', bridge: {}, bootOrder: 1 }], disks: [{ name: 'd', bootOrder: 1 }] }
  const errors = interfaceErrors({ domain: { devices }, networks: [nad] }, 'fake')
  assert.deepEqual(
    errors.map(({ message }) => message),
    [`Boot order for ${at}.bootOrder already set for a different device.`],
  )
})

test('a range of MAC addresses that is none is refused with what is wrong', () => {
  const problem = (rangeStart: string, rangeEnd: string) =>
    kubeVirtErrors(kubevirt({ network: { macPool: { rangeStart, rangeEnd } } }))[0]?.message
  assert.equal(problem('02:00:00:00:00:01', '02:00:00:00:00:02'), undefined)
  assert.equal(
    problem('02:00:00:00:00:02', '02:00:00:00:00:01'),
    'rangeStart 02:00:00:00:00:02 is above rangeEnd 02:00:00:00:00:01',
  )
  assert.match(problem('x', '02:00:00:00:00:01') ?? '', /rangeStart x is no MAC address/)
  assert.match(problem('03:00:00:00:00:01', '03:00:00:00:00:02') ?? '', /multicast/)
})
