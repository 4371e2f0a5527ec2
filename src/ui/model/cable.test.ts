import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { VirtualMachineInstance, VmiStatus } from '#apis/kubevirt/vmi.ts'
import type { Condition, Stored } from '#apis/meta/object.ts'
import { machineOf } from './machine.ts'

type Card = Readonly<{ state?: string; network?: string; mac?: string; binding?: 'bridge' | 'sriov' }>

const metadata = {
  name: 'x',
  namespace: 'ns',
  uid: 'u',
  resourceVersion: '1',
  creationTimestamp: '2026-01-01T00:00:00Z',
}

function specOf(card: Card | undefined) {
  const one = card && {
    name: 'a',
    [card.binding ?? 'bridge']: {},
    macAddress: card.mac ?? 'm1',
    ...(card.state && { state: card.state }),
  }
  const network = { name: 'a', multus: { networkName: card?.network ?? 'red' } }
  return { domain: { devices: { interfaces: one ? [one] : [] } }, networks: card ? [network] : [] }
}

function vmOf(card: Card | undefined): Stored<VirtualMachine> {
  return { apiVersion: 'kubevirt.io/v1', kind: 'VirtualMachine', metadata, spec: { template: { spec: specOf(card) } } }
}

function vmiOf(card: Card | undefined, status: VmiStatus): Stored<VirtualMachineInstance> {
  const kind = 'VirtualMachineInstance'
  return { apiVersion: 'kubevirt.io/v1', kind, metadata, spec: specOf(card), status: { phase: 'Running', ...status } }
}

const up: VmiStatus = { interfaces: [{ name: 'a', linkState: 'up', mac: 'm1', infoSource: 'domain' }] }
const down: VmiStatus = { interfaces: [{ name: 'a', linkState: 'down', mac: 'm1', infoSource: 'domain' }] }
/** A device of the host: no link of it is known. */
const device: VmiStatus = { interfaces: [{ name: 'a', mac: 'm1', infoSource: 'domain, multus-status' }] }
const required: Condition = { type: 'MigrationRequired', status: 'True' }
const failing = (message: string): Condition => ({ type: 'Synchronized', status: 'False', message })
const drift: Condition = { type: 'LinkDrift', status: 'True', message: 'link of interface "a" is down, declared up' }

for (const [what, declared, instance, status, state, why] of [
  ['connected', {}, {}, up, 'up', /^$/],
  ['pulled', { state: 'down' }, { state: 'down' }, down, 'pulled', /^$/],
  ['about to be pulled', { state: 'down' }, {}, up, 'moving', /down/],
  ['that the hypervisor does not have yet', {}, {}, { interfaces: [] }, 'moving', /not in the hypervisor/],
  ['about to be rewired', { network: 'blue' }, {}, up, 'moving', /declared on ns\/blue/],
  ['that needs a restart', { mac: 'm2' }, {}, up, 'waiting', /restart/],
  ['that drifted', {}, {}, { ...down, conditions: [drift] }, 'drifted', /is down, declared up/],
  ['that failed', { state: 'down' }, {}, { ...up, conditions: [failing('interface "a": no')] }, 'failed', /: no/],
  ['beside one that failed', {}, {}, { ...up, conditions: [failing('interface "b": no')] }, 'up', /^$/],
  ['about to be unplugged', { state: 'absent' }, {}, up, 'moving', /unplugged/],
  ['on no network', { network: 'patchbay-none' }, { network: 'patchbay-none' }, down, 'pulled', /^$/],
  ['of a device of the host', { binding: 'sriov' }, { binding: 'sriov' }, device, 'up', /^$/],
  [
    'that comes with a migration',
    { binding: 'sriov' },
    { binding: 'sriov' },
    { interfaces: [], conditions: [required] },
    'waiting',
    /comes with a migration/,
  ],
  [
    'that the guest has not got back yet',
    { binding: 'sriov' },
    { binding: 'sriov' },
    { interfaces: [{ name: 'a', infoSource: 'multus-status' }] },
    'moving',
    /not in the hypervisor yet/,
  ],
  [
    'of a machine that is moved',
    {},
    {},
    { ...up, migrationState: { startTimestamp: '2026-01-01T00:00:00Z' } },
    'migrating',
    /^$/,
  ],
] as const satisfies readonly (readonly [string, Card, Card, VmiStatus, string, RegExp])[])
  test(`a cable ${what} is ${state}`, () => {
    const [jack] = machineOf(vmOf(declared), vmiOf(instance, status))?.jacks ?? []
    assert.equal(jack?.cable.state, state)
    assert.match(jack?.cable.why ?? '', why)
  })

test('a device of the host is neither pulled nor moved', () => {
  const of = (card: Card) => machineOf(vmOf(card), vmiOf(card, up))?.jacks.map((one) => [one.isDevice, one.isPluggable])
  assert.deepEqual([of({ binding: 'sriov' }), of({})], [[[true, false]], [[false, true]]])
})

test('a machine that does not run shows what is declared', () => {
  const stateOf = (card: Card) => machineOf(vmOf(card), undefined)?.jacks[0]?.cable.state
  assert.deepEqual([{}, { state: 'down' }, { state: 'absent' }].map(stateOf), ['idle', 'pulled', 'unplugged'])
  assert.equal(machineOf(undefined, undefined), undefined)
})

test('an instance without a VM is shown, and is not to be changed', () => {
  const machine = machineOf(undefined, vmiOf({}, { ...up, nodeName: 'n1' }))
  assert.deepEqual([machine?.isBare, machine?.host, machine?.power, machine?.jacks.length], [true, 'n1', 'running', 1])
})
