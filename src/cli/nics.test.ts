import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Interface, InterfaceStatus, Network } from '#apis/kubevirt/interface.ts'
import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Stored } from '#apis/meta/object.ts'
import { nicRows } from '#core/vm/nic-rows.ts'
import { nicLines } from './nics.ts'

const mac = (last: number) => `02:00:00:00:00:0${last}`
const networks: readonly Network[] = [
  { name: 'default', pod: {} },
  { name: 'red', multus: { networkName: 'red' } },
  { name: 'blue', multus: { networkName: 'other/blue' } },
]
const nic = (name: string, last: number, over: Partial<Interface> = {}): Interface => ({
  name,
  macAddress: mac(last),
  ...(name === 'default' ? { masquerade: {} } : { bridge: {} }),
  ...over,
})
const specOf = (interfaces: readonly Interface[]) => ({ domain: { devices: { interfaces } }, networks })
const vmOf = (interfaces: readonly Interface[], annotations = {}) =>
  ({
    metadata: { name: 'a', namespace: 'ns', annotations },
    spec: { template: { spec: specOf(interfaces) } },
  }) as unknown as Stored<VirtualMachine>
const vmiOf = (interfaces: readonly Interface[], statuses: readonly InterfaceStatus[], { agent = true } = {}) =>
  ({
    metadata: { name: 'a', namespace: 'ns' },
    spec: specOf(interfaces),
    status: {
      phase: 'Running',
      interfaces: statuses,
      conditions: agent ? [{ type: 'AgentConnected', status: 'True' }] : [],
    },
  }) as unknown as Stored<VirtualMachineInstance>
const status = (name: string, last: number, over: InterfaceStatus = {}): InterfaceStatus => ({
  name,
  mac: mac(last),
  linkState: 'up',
  interfaceName: `eth${last}`,
  ...over,
})

const both = [nic('default', 0), nic('red', 1)]
const differences = (...args: Parameters<typeof nicRows>) =>
  nicRows(...args).flatMap((row) => row.differences.map((text) => `${row.name}: ${text}`))

test('interfaces that agree everywhere have no mark, and those only the guest knows come last', () => {
  const guestOnly = { mac: mac(9), interfaceName: 'docker0', ipAddresses: ['172.17.0.1', 'fe80::1'] }
  const statuses = [status('default', 0, { ipAddresses: ['10.0.0.2', 'fd00::2'] }), guestOnly, status('red', 1)]
  const rows = nicRows(vmOf(both), vmiOf(both, statuses))
  assert.deepEqual(nicLines(rows, { running: true, wide: false }), [
    'NAME      NETWORK   MAC                 BINDING      MODEL    DECLARED   HYPERVISOR   GUEST',
    'default   pod       02:00:00:00:00:00   masquerade   virtio   up         up           eth0 10.0.0.2',
    'red       red       02:00:00:00:00:01   bridge       virtio   up         up           eth1',
    '-         -         02:00:00:00:00:09   -            -        -          -            docker0 172.17.0.1',
  ])
  const [heading, first] = nicLines(rows, { running: true, wide: true })
  assert.match(heading!, /ADDRESSES +POD-INTERFACE +QUEUES +SOURCE$/)
  assert.match(first!, /10\.0\.0\.2,fd00::2 +-/)
})

test('a card on no network is told so, and its link that is down is no difference', () => {
  const vm = vmOf(both)
  const bare = { ...specOf(both), networks: [networks[0]!, { name: 'red', multus: { networkName: 'patchbay-none' } }] }
  const offVm = { ...vm, spec: { ...vm.spec, template: { ...vm.spec.template, spec: bare } } }
  const statuses = [status('default', 0), status('red', 1, { linkState: 'down' })]
  const rows = nicRows(offVm, { ...vmiOf(both, statuses), spec: bare })
  assert.deepEqual(
    rows.flatMap(({ differences: texts }) => texts),
    [],
  )
  const [, , red] = nicLines(rows, { running: true, wide: false })
  assert.equal(red, 'red       (none)    02:00:00:00:00:01   bridge       virtio   up         down         eth1')
})

test('behind masquerade the address the guest has is shown beside the one it is reached at', () => {
  const statuses = [status('default', 0, { ipAddresses: ['10.244.0.5'], guestAddresses: ['10.0.2.2'] })]
  const [, row] = nicLines(nicRows(vmOf([both[0]!]), vmiOf([both[0]!], statuses)), { running: true, wide: false })
  assert.match(row!, /eth0 10\.0\.2\.2 \(pod 10\.244\.0\.5\)$/)
})

test('of a VM that does not run only what is declared is shown', () => {
  const declared = [nic('default', 0, { state: 'linkDown', model: 'e1000' }), nic('blue', 2, { state: 'absent' })]
  for (const vmi of [undefined, { ...vmiOf(both, []), status: { phase: 'Succeeded' as const } }])
    assert.deepEqual(nicLines(nicRows(vmOf(declared), vmi), { running: false, wide: true }), [
      'NAME      NETWORK      MAC                 BINDING      MODEL    DECLARED',
      'default   pod          02:00:00:00:00:00   masquerade   e1000    down',
      'blue      other/blue   02:00:00:00:00:02   bridge       virtio   absent',
    ])
})

test('each difference is marked and told with what becomes of it', () => {
  const down = [both[0]!, nic('red', 1, { state: 'down' })]
  const statuses = [status('default', 0), status('red', 1)]
  const lines = nicLines(nicRows(vmOf(down), vmiOf(both, statuses)), { running: true, wide: false })
  assert.match(lines[2]!, /down \(instance up\) +up +eth1 +!$/)
  assert.deepEqual(lines.slice(3), ['', '! red: declared down, but up in the hypervisor; about to be set'])
  const ahead = [status('default', 0), status('red', 1, { linkState: 'down' })]
  assert.deepEqual(differences(vmOf(down), vmiOf(both, ahead)), [
    'red: declared down, but up in the running instance; about to be set',
  ])
  const reported = vmOf(down, { 'patchbay.dev/link-drift': 'report' })
  assert.deepEqual(differences(reported, vmiOf(down, statuses)), [
    'red: declared down, but up in the hypervisor; left so because of the annotation patchbay.dev/link-drift',
  ])
  assert.deepEqual(differences(vmOf(both), vmiOf(both, [status('default', 0), status('red', 7)])), [
    'red: MAC 02:00:00:00:00:01 is declared, 02:00:00:00:00:07 is in the hypervisor',
  ])
})

test('what only a restart or time brings about is told', () => {
  const statuses = [status('default', 0), status('red', 1)]
  const other = [nic('default', 0), nic('red', 1, { model: 'e1000' }), nic('blue', 2)]
  assert.deepEqual(differences(vmOf(other), vmiOf(both, statuses)), [
    'red: model e1000 is declared, virtio is in the running instance; it changes with a restart',
    'blue: declared, but not in the running instance; about to be plugged',
  ])
  const absent = [nic('default', 0), nic('red', 1, { state: 'absent' })]
  assert.deepEqual(differences(vmOf(absent), vmiOf(both, statuses)), [
    'red: absent, but in the running instance; about to be unplugged',
  ])
  assert.deepEqual(differences(vmOf(both.slice(0, 1)), vmiOf(both, statuses)), [
    'red: no longer declared, but in the running instance; it goes with a restart',
  ])
  const { interfaceName: _, ...unseen } = status('red', 1)
  assert.deepEqual(differences(vmOf(both), vmiOf(both, [status('default', 0), unseen])), [
    'red: not yet seen by the guest',
  ])
  assert.deepEqual(differences(vmOf(both), vmiOf(both, [status('default', 0), unseen], { agent: false })), [])
  assert.deepEqual(differences(vmOf(both), vmiOf(both, [status('default', 0)])), ['red: not in the hypervisor yet'])
})
