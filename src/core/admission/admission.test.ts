import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Interface, Network } from '#apis/kubevirt/interface.ts'
import type { KubeVirt } from '#apis/kubevirt/kubevirt.ts'
import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { clusterConfig } from './config.ts'
import { instanceErrors } from './instance.ts'
import { interfaceErrors } from './interfaces.ts'
import { systemGroup } from './template.ts'
import { vmErrors, withDefaults } from './vm.ts'

const nad: Network = { name: 'foo', multus: { networkName: 'nad' } }
const pod: Network = { name: 'foo', pod: {} }
// The table is KubeVirt's, where a bridge on the pod network needs no permission.
const permitting = { spec: { configuration: { network: { permitBridgeInterfaceOnPodNetwork: true } } } }
const check = (interfaces: readonly Interface[], networks: readonly Network[]) =>
  interfaceErrors({ domain: { devices: { interfaces } }, networks }, 'fake', {
    config: clusterConfig(permitting as unknown as KubeVirt),
  }).map(({ field, message }) => `${field} | ${message}`)
const at = 'fake.domain.devices.interfaces[0]'

// facts/kubevirt.md §2.1 and §8.8: verdicts and texts of KubeVirt's own unit table.
type Verdict = readonly [
  name: string,
  interfaces: readonly Interface[],
  networks: readonly Network[],
  errors: readonly string[],
]
const rows: readonly Verdict[] = [
  ...(['', 'up', 'down', 'absent', 'linkUp', 'linkDown'] as const).map(
    (state): Verdict => [`bridge with state "${state}"`, [{ name: 'foo', bridge: {}, state }], [nad], []],
  ),
  [
    'state foo',
    [{ name: 'foo', bridge: {}, state: 'foo' }],
    [nad],
    [`${at}.state | logical foo interface state value is unsupported: foo`],
  ],
  [
    'SR-IOV down',
    [{ name: 'foo', sriov: {}, state: 'down' }],
    [nad],
    [`${at}.state | "foo" interface's state "down" is not supported for SR-IOV NICs`],
  ],
  [
    'SR-IOV linkDown',
    [{ name: 'foo', sriov: {}, state: 'linkDown' }],
    [nad],
    [`${at}.state | "foo" interface's state "linkDown" is not supported for SR-IOV NICs`],
  ],
  [
    'SR-IOV up',
    [{ name: 'foo', sriov: {}, state: 'up' }],
    [nad],
    [`${at}.state | "foo" interface's state "up" is not supported for SR-IOV NICs`],
  ],
  [
    'SR-IOV absent',
    [{ name: 'foo', sriov: {}, state: 'absent' }],
    [nad],
    [`${at}.state | "foo" interface's state "absent" is supported only for bridge binding`],
  ],
  [
    'absent on the pod network',
    [{ name: 'foo', bridge: {}, state: 'absent' }],
    [pod],
    [`${at}.state | "foo" interface's state "absent" is not supported on default networks`],
  ],
  [
    'absent masquerade gives both causes',
    [{ name: 'foo', masquerade: {}, state: 'absent' }],
    [pod],
    [
      `${at}.state | "foo" interface's state "absent" is supported only for bridge binding`,
      `${at}.state | "foo" interface's state "absent" is not supported on default networks`,
    ],
  ],
  [
    'two bindings',
    [{ name: 'foo', bridge: {}, masquerade: {} }],
    [pod],
    [`${at} | logical foo interface must have exactly one binding method or binding plugin`],
  ],
  [
    'no binding',
    [{ name: 'foo' }],
    [pod],
    [`${at} | logical foo interface must have exactly one binding method or binding plugin`],
  ],
  ['only a plugin', [{ name: 'foo', binding: { name: 'p' } }], [nad], []],
  [
    'masquerade on Multus',
    [{ name: 'foo', masquerade: {} }],
    [nad],
    [`${at}.name | Masquerade interface only implemented with pod network`],
  ],
  [
    'reserved MAC',
    [{ name: 'foo', masquerade: {}, macAddress: '02:00:00:00:00:00' }],
    [pod],
    [`${at}.macAddress | The requested MAC address is reserved for the in-pod bridge. Please choose another one.`],
  ],
  [
    'slirp',
    [{ name: 'foo', slirp: {} }],
    [pod],
    [`${at}.slirp | Slirp interface support has been discontinued since v1.3`],
  ],
  [
    'passtBinding on Multus',
    [{ name: 'foo', passtBinding: {} }],
    [nad],
    [`${at}.name | PasstBinding interface only implemented with pod network`],
  ],
  [
    'network without interface',
    [],
    [{ name: 'lonely', pod: {} }],
    ["fake.networks[0].name | fake.networks[0].name 'lonely' not found."],
  ],
  ['interface without network', [{ name: 'foo', bridge: {} }], [], [`${at}.name | ${at}.name 'foo' not found.`]],
  [
    'duplicate networks',
    [{ name: 'foo', bridge: {} }],
    [nad, nad],
    ['fake.networks[1].name | Network with name "foo" already exists, every network must have a unique name'],
  ],
  [
    'duplicate interfaces',
    [
      { name: 'foo', bridge: {} },
      { name: 'foo', bridge: {} },
    ],
    [nad],
    ['fake.domain.devices.interfaces[1].name | Only one interface can be connected to one specific network'],
  ],
  [
    'bad name',
    [{ name: 'bad.name', bridge: {} }],
    [{ ...nad, name: 'bad.name' }],
    [
      `${at}.name | Network interface name can only contain alphabetical characters, numbers, dashes (-) or underscores (_)`,
    ],
  ],
  [
    'bad model',
    [{ name: 'foo', bridge: {}, model: 'invalid_model' }],
    [nad],
    [`${at}.model | interface ${at}.name uses model invalid_model that is not supported.`],
  ],
  [
    'short MAC',
    [{ name: 'foo', bridge: {}, macAddress: 'de:ad:00:00:be' }],
    [nad],
    [`${at}.macAddress | interface ${at}.name has malformed MAC address (de:ad:00:00:be).`],
  ],
  [
    'long MAC',
    [{ name: 'foo', bridge: {}, macAddress: 'de-ad-00-00-be-af-be-af' }],
    [nad],
    [`${at}.macAddress | interface ${at}.name has too long MAC address (de-ad-00-00-be-af-be-af).`],
  ],
  ['upper-case MAC with dashes', [{ name: 'foo', bridge: {}, macAddress: 'DE-AD-00-00-BE-AF' }], [nad], []],
  [
    'no network type',
    [{ name: 'foo', bridge: {} }],
    [{ name: 'foo' }],
    ['fake.networks[0] | should have a network type'],
  ],
  [
    'two network types',
    [{ name: 'foo', bridge: {} }],
    [{ ...nad, pod: {} }],
    ['fake.networks[0] | should have only one network type'],
  ],
  [
    'Multus without name',
    [{ name: 'foo', bridge: {} }],
    [{ name: 'foo', multus: {} }],
    ['fake.networks[0] | CNI delegating plugin must have a networkName'],
  ],
  [
    'two pod networks',
    [
      { name: 'foo', bridge: {} },
      { name: 'bar', bridge: {} },
    ],
    [pod, { name: 'bar', pod: {} }],
    ['fake.interfaces | more than one interface is connected to a pod network in fake.interfaces'],
  ],
]
for (const [name, interfaces, networks, errors] of rows)
  test(`admission: ${name}`, () => {
    assert.deepEqual(check(interfaces, networks), errors)
  })

const vm = (over: Partial<VirtualMachine['spec']> = {}, interfaces?: readonly Interface[]): VirtualMachine => ({
  apiVersion: 'kubevirt.io/v1',
  kind: 'VirtualMachine',
  metadata: { name: 'x', namespace: 'ns' },
  spec: {
    runStrategy: 'Always',
    template: {
      spec: {
        domain: { devices: interfaces ? { interfaces } : {} },
        networks: (interfaces ?? []).map((one) => ({ name: one.name, pod: {} })),
      },
    },
    ...over,
  },
})

test('running and runStrategy exclude each other, and a name must fit a domain name', () => {
  const errors = vmErrors({ ...vm({ running: true }), metadata: { name: 'n'.repeat(64) } })
  assert.deepEqual(
    errors.map((error) => error.field),
    ['metadata.name', 'spec.running'],
  )
  assert.match(errors[1]?.message ?? '', /^running and runstrategy are mutually exclusive$/)
})

for (const [binding, network] of [
  ['masquerade', {}],
  ['bridge', { permitBridgeInterfaceOnPodNetwork: true }],
  ['masquerade', { permitBridgeInterfaceOnPodNetwork: true, defaultNetworkInterface: 'masquerade' }],
  ['bridge', { defaultNetworkInterface: 'bridge' }],
] as const)
  test(`a VM without interfaces and networks gets one to the pod network, ${binding} with ${JSON.stringify(network)}, and a MAC`, () => {
    const config = clusterConfig({ spec: { configuration: { network } } } as unknown as KubeVirt)
    const made = withDefaults(vm(), undefined, () => '02:00:00:00:00:aa', config).spec.template.spec
    const expected = { name: 'default', [binding]: {}, macAddress: '02:00:00:00:00:aa' }
    assert.deepEqual(made.domain.devices.interfaces, [expected])
    assert.deepEqual(made.networks, [{ name: 'default', pod: {} }])
  })

test('a MAC is given once and kept by interface name through updates that leave it out', () => {
  let given = 0
  const newMac = () => `02:00:00:00:00:0${++given}`
  const first = withDefaults(vm({}, [{ name: 'a', bridge: {} }]), undefined, newMac)
  const second = withDefaults(
    vm({}, [
      { name: 'b', bridge: {} },
      { name: 'a', bridge: {}, state: 'down' },
    ]),
    first,
    newMac,
  )
  assert.deepEqual(
    second.spec.template.spec.domain.devices.interfaces?.map(({ name, macAddress }) => `${name} ${macAddress}`),
    ['b 02:00:00:00:00:02', 'a 02:00:00:00:00:01'],
  )
})

test('an object that fits no schema passes defaulting untouched', () => {
  for (const spec of [
    undefined,
    {},
    { template: {} },
    { template: { spec: {} } },
    { template: { spec: { domain: { devices: { interfaces: 'x' } } } } },
  ]) {
    const odd = { ...vm(), spec } as unknown as VirtualMachine
    assert.deepEqual(
      withDefaults(odd, undefined, () => 'mac'),
      odd,
    )
  }
})

test('only the system may change the spec of an instance', () => {
  const old = {
    apiVersion: 'v1',
    kind: 'VirtualMachineInstance',
    metadata: { name: 'x' },
    spec: vm().spec.template.spec,
  }
  const changed = { ...old, spec: { ...old.spec, hostname: 'h' } }
  assert.deepEqual(
    instanceErrors(changed, old, { groups: ['system:masters'] }).map((error) => error.message),
    ['update of VMI object is restricted'],
  )
  assert.deepEqual(instanceErrors(old, old, { groups: ['system:masters'] }), [])
  assert.deepEqual(instanceErrors(changed, old, { groups: [systemGroup] }), [])
})
