import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { Metrics } from './metrics.ts'

const vmi = {
  metadata: { namespace: 'default', name: 'a' },
  spec: {
    domain: {
      devices: {
        interfaces: [
          { name: 'default', masquerade: {} },
          { name: 'red', bridge: {}, model: 'e1000' },
          { name: 'own', binding: { name: 'mine' } },
        ],
      },
    },
    networks: [
      { name: 'default', pod: {} },
      { name: 'red', multus: { networkName: 'other/nad' } },
      { name: 'own', multus: { networkName: 'nad' } },
    ],
  },
  status: {
    nodeName: 'n1',
    interfaces: [
      { name: 'default', linkState: 'up', interfaceName: 'eth0', ipAddresses: ['10.0.0.1', 'fd00::1'] },
      { name: 'red', linkState: 'down' },
      { interfaceName: 'docker0', ipAddresses: ['172.17.0.1'] },
    ],
  },
} as unknown as VirtualMachineInstance

const nic = {
  name: 'red',
  rxBytes: 1000,
  rxPackets: 10,
  rxErrors: 0,
  rxDropped: 1,
  txBytes: 2000,
  txPackets: 20,
  txErrors: -1,
  txDropped: 0,
}

test('metrics tell of interfaces, addresses, links and traffic in the names of KubeVirt', async () => {
  const metrics = new Metrics()
  metrics.followObjects({ vms: () => [], vmis: () => [vmi] })
  metrics.followTraffic(async () => [{ node: 'n1', namespace: 'default', name: 'a', nics: [nic] }])
  metrics.applied(0.003)
  const { type, text } = await metrics.page()
  assert.match(type, /^text\/plain/)
  for (const line of [
    'kubevirt_vmi_vnic_info{namespace="default",name="a",vnic_name="default",binding_type="core",network="pod networking",binding_name="masquerade",model="virtio"} 1',
    'kubevirt_vmi_vnic_info{namespace="default",name="a",vnic_name="red",binding_type="core",network="other/nad",binding_name="bridge",model="e1000"} 1',
    'kubevirt_vmi_vnic_info{namespace="default",name="a",vnic_name="own",binding_type="plugin",network="nad",binding_name="mine",model="virtio"} 1',
    'kubevirt_vmi_status_addresses{node="n1",namespace="default",name="a",vnic_name="default",interface_name="eth0",address="fd00::1",type="ExternalInterface"} 1',
    'kubevirt_vmi_status_addresses{node="n1",namespace="default",name="a",vnic_name="",interface_name="docker0",address="172.17.0.1",type="SystemInterface"} 1',
    'patchbay_vmi_link_up{node="n1",namespace="default",name="a",interface="default"} 1',
    'patchbay_vmi_link_up{node="n1",namespace="default",name="a",interface="red"} 0',
    'kubevirt_vmi_network_receive_bytes_total{node="n1",namespace="default",name="a",interface="red"} 1000',
    'kubevirt_vmi_network_transmit_packets_total{node="n1",namespace="default",name="a",interface="red"} 20',
    'kubevirt_vmi_network_receive_packets_dropped_total{node="n1",namespace="default",name="a",interface="red"} 1',
    'kubevirt_vmi_network_traffic_bytes_total{node="n1",namespace="default",name="a",interface="red",type="tx"} 2000',
    'patchbay_link_apply_duration_seconds_count 1',
    'patchbay_link_apply_duration_seconds_bucket{le="0.005"} 1',
  ])
    assert.ok(text.split('\n').includes(line), `${line} in\n${text}`)
  // Unknown figures are left out.
  assert.doesNotMatch(text, /kubevirt_vmi_network_transmit_errors_total\{/)
})

test('a page shows what is there now, and nothing of before', async () => {
  const metrics = new Metrics()
  let vmis = [vmi]
  let guests = [{ node: 'n1', namespace: 'default', name: 'a', nics: [nic] }]
  metrics.followObjects({ vms: () => [], vmis: () => vmis })
  metrics.followTraffic(async () => guests)
  await metrics.page()
  const again = (await metrics.page()).text
  assert.match(again, /receive_bytes_total\{[^}]*\} 1000\n/)
  vmis = []
  guests = []
  await new Promise(setImmediate)
  assert.doesNotMatch((await metrics.page()).text, /name="a"/)
})
