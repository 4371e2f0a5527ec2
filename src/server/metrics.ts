import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { NicTraffic } from '#core/ports.ts'
import { vnicInfos } from '#core/vm/vnic-info.ts'

/** A page for Prometheus. */
export type Page = Readonly<{ type: string; text: string }>

/** Where the figures about objects come from. */
export type ObjectSource = Readonly<{
  vms(): readonly VirtualMachine[]
  vmis(): readonly VirtualMachineInstance[]
}>

/** The traffic of all interfaces of one running guest. */
export type GuestTraffic = Readonly<{ node: string; namespace: string; name: string; nics: readonly NicTraffic[] }>

const info = ['name', 'namespace', 'vnic_name', 'binding_type', 'network', 'binding_name', 'model']
const nic = ['node', 'namespace', 'name', 'interface']

/** All metrics of this process. Figures kept elsewhere are read again for each scrape. */
export class Metrics {
  readonly #registry = new Registry()
  readonly #applied: Histogram

  constructor() {
    this.#applied = new Histogram({
      name: 'patchbay_link_apply_duration_seconds',
      help: 'Time the hypervisor took to set links as declared, per change of an instance.',
      buckets: [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10],
      registers: [this.#registry],
    })
  }

  async page(): Promise<Page> {
    return { type: this.#registry.contentType, text: await this.#registry.metrics() }
  }

  /** Observes one link change, seconds. */
  applied(seconds: number): void {
    this.#applied.observe(seconds)
  }

  /** Sets the number of sandboxes without a pod that a node leaves alone. */
  followSandboxes(node: string, left: () => number): void {
    new Gauge({
      name: 'patchbay_sandboxes_left',
      help: 'Sandboxes without a pod that are left alone, because nothing proves that their guests may be ended.',
      labelNames: ['node'],
      registers: [this.#registry],
      collect() {
        this.set({ node }, left())
      },
    })
  }

  /** Adds VMs and instances: their interfaces, addresses and links. */
  followObjects({ vms, vmis }: ObjectSource): void {
    const gauge = (name: string, help: string, labelNames: string[], fill: (gauge: Gauge) => void) =>
      new Gauge({
        name,
        help,
        labelNames,
        registers: [this.#registry],
        collect() {
          this.reset()
          fill(this)
        },
      })
    gauge('kubevirt_vmi_vnic_info', 'Interfaces of instances.', info, (one) => {
      for (const vmi of vmis()) for (const labels of vnicInfos(vmi.spec)) one.set({ ...nameOf(vmi), ...labels }, 1)
    })
    gauge('kubevirt_vm_vnic_info', 'Interfaces of VMs.', info, (one) => {
      for (const vm of vms())
        for (const labels of vnicInfos(vm.spec.template.spec)) one.set({ ...nameOf(vm), ...labels }, 1)
    })
    const address = ['node', 'namespace', 'name', 'vnic_name', 'interface_name', 'address', 'type']
    gauge('kubevirt_vmi_status_addresses', 'Addresses of instances.', address, (one) => {
      for (const vmi of vmis())
        for (const { name = '', interfaceName = '', ipAddresses = [] } of vmi.status?.interfaces ?? [])
          for (const ip of ipAddresses)
            one.set(
              {
                ...nodeAndName(vmi),
                vnic_name: name,
                interface_name: interfaceName,
                address: ip,
                type: name ? 'ExternalInterface' : 'SystemInterface',
              },
              1,
            )
    })
    gauge('patchbay_vmi_link_up', 'Whether the link of an interface is up, by its hypervisor.', nic, (one) => {
      for (const vmi of vmis())
        for (const { name, linkState } of vmi.status?.interfaces ?? [])
          if (name && linkState) one.set({ ...nodeAndName(vmi), interface: name }, linkState === 'up' ? 1 : 0)
    })
  }

  /** Adds the traffic of this node's guests, in KubeVirt's names; receive and transmit are the guest's. */
  followTraffic(guests: () => Promise<readonly GuestTraffic[]>): void {
    let read: Promise<readonly GuestTraffic[]> | undefined
    const once = () => {
      // All counters of one scrape are from the same moment, and each hypervisor is queried once.
      read ??= guests().finally(() => setImmediate(() => (read = undefined)))
      return read
    }
    for (const [name, help, value] of trafficCounters)
      new Counter({
        name: `kubevirt_vmi_network_${name}`,
        help,
        labelNames: nic,
        registers: [this.#registry],
        async collect() {
          const all = await once()
          this.reset()
          for (const { nics, ...labels } of all)
            for (const one of nics) if (value(one) >= 0) this.inc({ ...labels, interface: one.name }, value(one))
        },
      })
    new Counter({
      name: 'kubevirt_vmi_network_traffic_bytes_total',
      help: 'Deprecated: bytes by direction.',
      labelNames: [...nic, 'type'],
      registers: [this.#registry],
      async collect() {
        const all = await once()
        this.reset()
        for (const { nics, ...labels } of all)
          for (const one of nics) {
            this.inc({ ...labels, interface: one.name, type: 'rx' }, Math.max(0, one.rxBytes))
            this.inc({ ...labels, interface: one.name, type: 'tx' }, Math.max(0, one.txBytes))
          }
      },
    })
  }
}

type Counted = readonly [name: string, help: string, value: (nic: NicTraffic) => number]

const trafficCounters: readonly Counted[] = [
  ['receive_bytes_total', 'Bytes the guest received.', (one) => one.rxBytes],
  ['transmit_bytes_total', 'Bytes the guest sent.', (one) => one.txBytes],
  ['receive_packets_total', 'Packets the guest received.', (one) => one.rxPackets],
  ['transmit_packets_total', 'Packets the guest sent.', (one) => one.txPackets],
  ['receive_errors_total', 'Errors while receiving.', (one) => one.rxErrors],
  ['transmit_errors_total', 'Errors while sending.', (one) => one.txErrors],
  ['receive_packets_dropped_total', 'Packets dropped while receiving.', (one) => one.rxDropped],
  ['transmit_packets_dropped_total', 'Packets dropped while sending.', (one) => one.txDropped],
]

function nameOf({ metadata }: VirtualMachine | VirtualMachineInstance) {
  return { namespace: metadata.namespace ?? '', name: metadata.name }
}

function nodeAndName(vmi: VirtualMachineInstance) {
  return { node: vmi.status?.nodeName ?? '', ...nameOf(vmi) }
}
