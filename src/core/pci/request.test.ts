import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Node } from '#apis/core/node.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { withoutDevices } from '../migration/state.ts'
import { desiredNics } from '../nic/desired.ts'
import { interfaceStatuses } from '../nic/status.ts'
import { attachmentsOf, networkInfo, networkStatuses } from '../sandbox/plan.ts'
import { launcherPod } from '../vm/launcher.ts'
import { liveUpdate } from '../vm/live.ts'
import { podBytesOf } from '../vm/memory.ts'
import { chooseNode, noAllocation, podDevices } from '../vm/scheduling.ts'
import { deviceRequests, resourceNameAnnotation, wantedSettings } from './request.ts'

const resource = 'intel.com/net'

/** An instance with these secondary interfaces by their bindings; each is on the network of its name. */
function vmi(nics: Readonly<Record<string, 'sriov' | 'bridge'>>): VirtualMachineInstance {
  const names = Object.keys(nics)
  const interfaces = names.map((name) => ({ name, [nics[name]!]: {}, macAddress: `02:00:00:00:00:0${name.length}` }))
  return {
    metadata: { name: 'x', namespace: 'ns', uid: 'u' },
    spec: {
      domain: {
        memory: { guest: '1Gi' },
        devices: { interfaces: [{ name: 'default', masquerade: {} }, ...interfaces] },
      },
      networks: [{ name: 'default', pod: {} }, ...names.map((name) => ({ name, multus: { networkName: name } }))],
    },
  } as unknown as VirtualMachineInstance
}

const nads = (annotations: Readonly<Record<string, string>> | undefined = { [resourceNameAnnotation]: resource }) => ({
  configOf: () => '{"type":"sriov"}',
  annotationsOf: () => annotations,
  poolOf: (name: string) => (name === resource ? { resource, addresses: ['0000:01:10.0'] } : undefined),
})
const two = vmi({ a: 'sriov', bb: 'sriov', ccc: 'bridge' })
const requests = deviceRequests(two.spec, 'ns', nads().annotationsOf)

test('one that is added goes into the running instance, and one that is removed needs a restart', () => {
  const [one, other] = [vmi({ a: 'sriov' }), vmi({ a: 'sriov', bb: 'sriov' })]
  assert.deepEqual(liveUpdate(other.spec, one, 'ns'), { spec: other.spec, restartRequired: false })
  assert.deepEqual(liveUpdate(one.spec, other, 'ns'), { restartRequired: true })
})

test('an instance requests one device of a resource for each interface that has one', () => {
  assert.deepEqual([...requests], [[resource, 2]])
  assert.deepEqual([...deviceRequests(two.spec, 'ns', () => undefined)], [])
  assert.deepEqual([...deviceRequests(vmi({ a: 'bridge' }).spec, 'ns', nads().annotationsOf)], [])
})

test('its pod says so in requests and limits, and takes 1 GiB more', () => {
  const pod = launcherPod(two, { nodeName: 'n', user: undefined, devices: requests })
  assert.deepEqual([...podDevices(pod)], [[resource, 2]])
  const { limits } = (pod.spec.containers[0] as unknown as { resources: { limits: Record<string, string> } }).resources
  assert.equal(limits[resource], '2')
  assert.equal(podBytesOf(two.spec) - podBytesOf(vmi({ a: 'bridge' }).spec), 2 ** 30)
})

test('it is placed on a node that has so many of them left', () => {
  const node = (name: string, count?: string): Node => ({
    ...{ apiVersion: 'v1', kind: 'Node', metadata: { name } },
    status: {
      conditions: [{ type: 'Ready', status: 'True' }],
      allocatable: count === undefined ? {} : { [resource]: count },
    },
  })
  const place = (nodes: readonly Node[], taken = 0) => {
    const placement = chooseNode(two, nodes, () => ({ ...noAllocation, devices: new Map([[resource, taken]]) }), {
      devices: requests,
    })
    return 'node' in placement ? placement.node.metadata.name : placement.why
  }
  assert.equal(place([node('none'), node('one', '1'), node('two', '2')]), 'two')
  assert.equal(place([node('three', '3')], 1), 'three')
  assert.equal(
    place([node('none'), node('three', '3')], 2),
    `0/2 nodes are available: 2 Insufficient ${resource}; see kubectl describe nodes`,
  )
})

test('an interface is attached to the pool of its network’s resource, or says why not', () => {
  const nics = desiredNics(two.spec, 'ns').filter(({ name }) => name === 'a' || name === 'ccc')
  const of = (find: ReturnType<typeof nads>) =>
    attachmentsOf(nics, two, find).map(({ name, pool, problem }) => ({ name, pool: pool?.addresses, problem }))
  const bridge = { name: 'ccc', pool: undefined, problem: undefined }
  assert.deepEqual(of(nads()), [{ name: 'a', pool: ['0000:01:10.0'], problem: undefined }, bridge])
  assert.equal(
    of(nads({}))[0]?.problem,
    `interface "a" wants the NetworkAttachmentDefinition ns/a, which names no resource; give it the annotation ${resourceNameAnnotation}`,
  )
  assert.equal(
    of(nads({ [resourceNameAnnotation]: 'x/y' }))[0]?.problem,
    'interface "a" wants the NetworkAttachmentDefinition ns/a, whose resource x/y this node does not have; see ConfigMap kube-system/sriovdp-config',
  )
})

test('the pod’s annotations tell the device of each interface, in the order of their names', () => {
  const attachments = attachmentsOf(desiredNics(two.spec, 'ns').toReversed(), two, nads())
  const devices = new Map([
    ['a', '0000:01:10.0'],
    ['bb', '0000:01:10.2'],
  ])
  const told = networkStatuses(attachments, new Map(), devices).map((one) => [
    one.name,
    one['device-info']?.pci['pci-address'],
  ])
  assert.deepEqual(told, [
    ['ns/ccc', undefined],
    ['ns/bb', '0000:01:10.2'],
    ['ns/a', '0000:01:10.0'],
    ['patchbay-pod', undefined],
  ])
  const info = JSON.parse(networkInfo(attachments, devices) ?? '')
  assert.deepEqual(info.interfaces[0], {
    ...{ network: 'a', mac: '02:00:00:00:00:01' },
    deviceInfo: { type: 'pci', version: '1.1.0', pci: { 'pci-address': '0000:01:10.0' } },
  })
  assert.equal(info.interfaces[1].network, 'bb')
  assert.equal(networkInfo(attachments, new Map()), undefined)
})

test('nothing is said about link and queues of a device, and its MAC address is the declared one', () => {
  const [nic] = desiredNics(vmi({ a: 'sriov' }).spec, 'ns').filter(({ name }) => name === 'a')
  assert.ok(nic)
  const seen = { ...nic, queues: 1 }
  const guest = [{ name: 'eth1', mac: nic.mac, ips: ['10.0.0.1'] }]
  const status = (observed: readonly (typeof seen)[], attached = new Set(['a'])) =>
    interfaceStatuses([nic], observed, guest, new Map(), attached)
  assert.deepEqual(status([seen]), [
    {
      ...{ name: 'a', mac: nic.mac, podInterfaceName: nic.links.pod, interfaceName: 'eth1' },
      ...{ infoSource: 'domain, guest-agent, multus-status', ipAddress: '10.0.0.1', ipAddresses: ['10.0.0.1'] },
    },
  ])
  // While the guest moves, it has no card of that name.
  assert.deepEqual(status([])[0], { name: 'a', podInterfaceName: nic.links.pod, infoSource: 'multus-status' })
})

test('a guest that is being sent has released its devices, and nothing else', () => {
  const card = (name: string) => ({ name, mac: '02:00:00:00:00:01', podInterfaceName: 'podx', infoSource: 'domain' })
  const { spec } = vmi({ a: 'sriov', bb: 'bridge' })
  const status = { phase: 'Running' as const, interfaces: [card('default'), card('a'), card('bb')] }
  const released = { name: 'a', podInterfaceName: 'podx', infoSource: 'multus-status' }
  const sent = { ...status, interfaces: [card('default'), released, card('bb')] }
  assert.deepEqual(withoutDevices(status, spec), sent)
  assert.deepEqual(withoutDevices(sent, spec), sent)
  assert.deepEqual(withoutDevices({ phase: 'Running' }, spec), { phase: 'Running' })
})

test('the settings of a VF are those of the plugin sriov, alone or in a list, and the guest’s MAC address', () => {
  const mac = '02:00:00:00:00:11'
  const wanted = { vlan: { id: 7, qos: 0, proto: '802.1q' }, mac }
  const plugin = { type: 'sriov', vlan: 7 }
  for (const config of [plugin, { name: 'n', plugins: [{ type: 'tuning' }, plugin] }])
    assert.deepEqual(wantedSettings(JSON.stringify(config), mac), { settings: wanted, errors: [] })
  assert.deepEqual(wantedSettings('{"type":"sriov"}', mac).settings, { mac })
  for (const config of ['{', '{"type":"bridge"}', '{"plugins":[]}', '[]'])
    assert.match(wantedSettings(config, mac).errors.join(), /^type: an interface with the binding sriov needs/)
})
