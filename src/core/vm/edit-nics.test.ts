import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { Stored } from '#apis/meta/object.ts'
import { type NicEdit, withNetwork, withNic, withoutNic } from './edit-nics.ts'

type Spec = Readonly<{ interfaces: readonly object[]; networks: readonly object[] }>

const pod = { name: 'default', masquerade: {}, macAddress: '02:00:00:00:00:01' }
const red = { name: 'red', bridge: {}, macAddress: '02:00:00:00:00:02' }
const podNetwork = { name: 'default', pod: {} }
const onRed = { name: 'red', multus: { networkName: 'lan' } }

function vmWith(nic: object = red, annotations: Record<string, string> = {}): Stored<VirtualMachine> {
  const spec = { domain: { devices: { interfaces: [pod, nic] } }, networks: [podNetwork, onRed] }
  return {
    metadata: { name: 'a', namespace: 'ns', annotations },
    spec: { template: { spec } },
  } as unknown as Stored<VirtualMachine>
}

/** What an edit comes to: the lists of the template, `same`, or the refusal. */
function outcome(vm: VirtualMachine, edit: NicEdit): Spec | string {
  if ('refuse' in edit) return `${edit.refuse}: ${edit.text}`
  if (edit.vm === vm) return 'same'
  const { domain, networks = [] } = edit.vm.spec.template.spec
  return { interfaces: domain.devices.interfaces ?? [], networks }
}

const absent = { ...red, state: 'absent' }
const blue = { name: 'blue', network: 'other/blue' }
const both = (nic: object, network: object): Spec => ({ interfaces: [pod, nic], networks: [podNetwork, network] })
const added = (nic: object): Spec => ({
  interfaces: [pod, red, { name: 'blue', bridge: {}, ...nic }],
  networks: [podNetwork, onRed, { name: 'blue', multus: { networkName: 'other/blue' } }],
})

for (const [what, vm, edit, expected] of [
  ['plug', vmWith(), (vm) => withNic(vm, blue), added({})],
  [
    'plug with everything',
    vmWith(),
    (vm) => withNic(vm, { ...blue, mac: '02:00:00:00:00:09', model: 'e1000', link: 'down' }),
    added({ macAddress: '02:00:00:00:00:09', model: 'e1000', state: 'down' }),
  ],
  ['plug with the link up', vmWith(), (vm) => withNic(vm, { ...blue, link: 'up' }), added({})],
  [
    'plug by a name that is taken',
    vmWith(),
    (vm) => withNic(vm, { name: 'red', network: 'lan' }),
    'Conflict: VM a has an interface red already, on network ns/lan; choose another name',
  ],
  ['plug again', vmWith(absent), (vm) => withNic(vm, { name: 'red', network: 'ns/lan' }), both(red, onRed)],
  [
    'plug again, down',
    vmWith(absent),
    (vm) => withNic(vm, { name: 'red', network: 'lan', link: 'down', mac: '02-00-00-00-00-02', model: 'virtio' }),
    both({ ...red, state: 'down' }, onRed),
  ],
  [
    'plug again, up whatever it was',
    vmWith(absent),
    (vm) => withNic(vm, { name: 'red', network: 'lan', link: 'up' }),
    both({ ...red, state: 'up' }, onRed),
  ],
  [
    'plug again elsewhere',
    vmWith(absent),
    (vm) => withNic(vm, { name: 'red', network: 'blue' }),
    'Conflict: VM a has an interface red that is absent: virtio on network ns/lan, MAC 02:00:00:00:00:02; plug it as it was, or choose another name',
  ],
  ['unplug while it runs', vmWith(), (vm) => withoutNic(vm, 'red', true), both(absent, onRed)],
  [
    'unplug while it is stopped',
    vmWith(),
    (vm) => withoutNic(vm, 'red', false),
    { interfaces: [pod], networks: [podNetwork] },
  ],
  [
    'unplug what is to be parked',
    vmWith(red, { 'patchbay.dev/park-absent': 'true' }),
    (vm) => withoutNic(vm, 'red', false),
    both(absent, onRed),
  ],
  ['unplug twice', vmWith(absent), (vm) => withoutNic(vm, 'red', true), 'same'],
  [
    'unplug what is not there',
    vmWith(),
    (vm) => withoutNic(vm, 'green', true),
    'NotFound: VM a has no interface green; it has: default, red',
  ],
  [
    'unplug the default network',
    vmWith(),
    (vm) => withoutNic(vm, 'default', false),
    'Invalid: interface default of VM a is on the default network and cannot be unplugged; cut its link instead, by state: down',
  ],
  [
    'unplug what is no bridge',
    vmWith({ name: 'red', sriov: {} }),
    (vm) => withoutNic(vm, 'red', true),
    'Invalid: interface red of VM a is no bridge, and only bridges can be unplugged while the VM runs; stop it first',
  ],
  [
    'unplug what is no bridge from a stopped VM',
    vmWith({ name: 'red', sriov: {} }),
    (vm) => withoutNic(vm, 'red', false),
    { interfaces: [pod], networks: [podNetwork] },
  ],
  [
    'rewire',
    vmWith(),
    (vm) => withNetwork(vm, 'red', 'other/blue'),
    both(red, { name: 'red', multus: { networkName: 'other/blue' } }),
  ],
  ['rewire to where it is', vmWith(), (vm) => withNetwork(vm, 'red', 'ns/lan'), 'same'],
  [
    'rewire what is not there',
    vmWith(),
    (vm) => withNetwork(vm, 'green', 'lan'),
    'NotFound: VM a has no interface green; it has: default, red',
  ],
  [
    'rewire the default network',
    vmWith(),
    (vm) => withNetwork(vm, 'default', 'lan'),
    'Invalid: interface default of VM a is on the default network and cannot be put on another; plug a second one',
  ],
  [
    'rewire what is absent',
    vmWith(absent),
    (vm) => withNetwork(vm, 'red', 'blue'),
    'Conflict: interface red of VM a is declared absent and on no network; plug it first',
  ],
] satisfies [string, VirtualMachine, (vm: Stored<VirtualMachine>) => NicEdit, Spec | string][])
  test(`edit: ${what}`, () => assert.deepEqual(outcome(vm, edit(vm)), expected))
