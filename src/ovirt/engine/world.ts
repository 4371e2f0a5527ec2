import { ConfigMap } from '#apis/core/configmap.ts'
import { Namespace } from '#apis/core/namespace.ts'
import { Node } from '#apis/core/node.ts'
import { VirtualMachineInstanceMigration } from '#apis/kubevirt/migration.ts'
import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { ApiObject, Kind, Stored } from '#apis/meta/object.ts'
import { NetworkAttachmentDefinition } from '#apis/net/attachment.ts'
import { faultKind } from '#base/fault.ts'
import { podNetwork } from '#core/nic/nic.ts'
import type { Client } from '#machinery/client/client.ts'
import { type Cluster, clustersIn } from './clusters.ts'
import { idIn } from './ids.ts'
import { clusterLabel, descriptionAnnotation, isTemplateVm, settingsName } from './names.ts'
import { declaredProfiles } from './profiles.ts'
import { isRunning, type VmStatus, vmStatus } from './vm-status.ts'

/** A namespace: networks belong to it as to a data center, and permissions end there. */
export type DataCenter = Readonly<{ id: string; name: string; namespace: string }>

/** A NetworkAttachmentDefinition, or the pod network of a data center. `key` is as in `Nic.network` but for the pod network. */
export type Network = Readonly<{ id: string; name: string; key: string; description: string; dataCenter: DataCenter }>

/** What an interface is connected by. Each network has one of its own name. */
export type Profile = Readonly<{ id: string; name: string; network: Network; isMirroring: boolean; comment: string }>

/** A VirtualMachine with its instance, if it has one. */
export type Machine = Readonly<{
  vm: Stored<VirtualMachine>
  vmi: Stored<VirtualMachineInstance> | undefined
  status: VmStatus
  cluster: Cluster
}>

export type Host = Stored<Node>

/** Namespaces of the system itself have no VMs. */
const systemNamespace = /^kube(-|virt$)/

/** The name of a namespace as a data center: Ansible compares `Default` letter by letter (facts/ovirt-clients.md §6). */
function dataCenterName(namespace: string): string {
  return namespace === 'default' ? 'Default' : namespace
}

/**
 * What one request sees, as its user: lists are read when they are first asked for, and once. Names and ids of what other objects
 * refer to (namespaces, nodes, networks) are read in the name of the server, because a user who may see a VM may see what it is
 * connected to.
 */
export class World {
  readonly #client: Client
  readonly #own: Client
  readonly #lists = new Map<unknown, Promise<unknown>>()

  constructor(client: Client, own: Client) {
    this.#client = client
    this.#own = own
  }

  dataCenters(): Promise<readonly DataCenter[]> {
    return this.#once('dataCenters', async () => {
      const { items } = await this.#own.list(Namespace)
      return items
        .filter(({ metadata }) => !systemNamespace.test(metadata.name))
        .map(({ metadata: { uid, name } }) => ({ id: uid, name: dataCenterName(name), namespace: name }))
        .toSorted(byName)
    })
  }

  clusters(): Promise<readonly Cluster[]> {
    return this.#once('clusters', async () => {
      const { items } = await this.#own.list(ConfigMap, { fieldSelector: `metadata.name=${settingsName}` })
      const settings = new Map(items.map((one) => [one.metadata.namespace, one.data?.clusters]))
      const clusters = (await this.dataCenters()).flatMap((one) => clustersIn(one, settings.get(one.namespace)))
      return clusters.toSorted(byName)
    })
  }

  /** All networks, those of the user's own rights or not: what VMs refer to. */
  networks(): Promise<readonly Network[]> {
    return this.#once('networks', async () => {
      const { items } = await this.#own.list(NetworkAttachmentDefinition)
      return this.#networksOf(items)
    })
  }

  /** The networks that the user may list. */
  ownNetworks(): Promise<readonly Network[]> {
    return this.#once('ownNetworks', async () => this.#networksOf(await this.#visible(NetworkAttachmentDefinition)))
  }

  async #networksOf(items: readonly Stored<NetworkAttachmentDefinition>[]): Promise<readonly Network[]> {
    const dataCenters = await this.dataCenters()
    const places = new Map(dataCenters.map((one) => [one.namespace, one]))
    const attached = items.flatMap(({ metadata: { uid, name, namespace, annotations } }): Network[] => {
      const dataCenter = places.get(namespace)
      const description = annotations?.[descriptionAnnotation] ?? ''
      return dataCenter ? [{ id: uid, name, key: `${namespace}/${name}`, description, dataCenter }] : []
    })
    const pods = dataCenters.map((dataCenter) => ({
      id: idIn(dataCenter.id, `network/${podNetwork}`),
      name: podNetwork,
      key: podNetwork,
      description: 'The network of all pods.',
      dataCenter,
    }))
    return [...attached, ...pods].toSorted(byName)
  }

  profiles(): Promise<readonly Profile[]> {
    return this.#once('profiles', async () => {
      const { items } = await this.#own.list(NetworkAttachmentDefinition)
      const nads = new Map(items.map((one) => [one.metadata.uid, one]))
      return (await this.networks()).flatMap((network) => profilesOf(network, nads.get(network.id))).toSorted(byName)
    })
  }

  machines(): Promise<readonly Machine[]> {
    return this.#once('machines', async () => (await this.#all()).filter((one) => !isTemplateVm(one.vm)))
  }

  templates(): Promise<readonly Machine[]> {
    return this.#once('templates', async () => (await this.#all()).filter((one) => isTemplateVm(one.vm)))
  }

  /** The VMs of all namespaces, seen by the user or not: a MAC address belongs to one of them only. */
  everyVm(): Promise<readonly Stored<VirtualMachine>[]> {
    return this.#once('everyVm', async () => (await this.#own.list(VirtualMachine)).items)
  }

  hosts(): Promise<readonly Host[]> {
    return this.#once('hosts', async () => (await this.#own.list(Node)).items)
  }

  #all(): Promise<readonly Machine[]> {
    return this.#once('all', async () => {
      const [vms, vmis, migrations, clusters] = await Promise.all([
        this.#visible(VirtualMachine),
        this.#visible(VirtualMachineInstance),
        this.#visible(VirtualMachineInstanceMigration),
        this.clusters(),
      ])
      const running = new Map(vmis.map((one) => [keyOf(one), one]))
      const moving = new Set(
        migrations
          .filter(({ status }) => status?.phase !== 'Succeeded' && status?.phase !== 'Failed')
          .map(({ metadata, spec }) => `${metadata.namespace}/${spec.vmiName}`),
      )
      const machines = vms.flatMap((vm): Machine[] => {
        const vmi = running.get(keyOf(vm))
        const cluster = clusterOf(vm, clusters)
        const status = vmStatus(vm, vmi, moving.has(keyOf(vm)))
        return cluster ? [{ vm, vmi, status, cluster }] : []
      })
      return machines.toSorted((a, b) => keyOrder(a.vm).localeCompare(keyOrder(b.vm)))
    })
  }

  /** The objects of a kind that the user may list, in whatever namespaces that is. */
  async #visible<T extends ApiObject>(kind: Kind<T>): Promise<readonly Stored<T>[]> {
    const everywhere = await this.#listed(kind)
    if (everywhere) return everywhere
    const lists = (await this.dataCenters()).map(({ namespace }) => this.#listed(kind, namespace))
    return (await Promise.all(lists)).flatMap((list) => list ?? [])
  }

  async #listed<T extends ApiObject>(kind: Kind<T>, namespace?: string): Promise<readonly Stored<T>[] | undefined> {
    try {
      return (await this.#client.list(kind, namespace === undefined ? {} : { namespace })).items
    } catch (error) {
      if (faultKind(error) === 'Forbidden') return undefined
      throw error
    }
  }

  #once<T>(name: string, read: () => Promise<T>): Promise<T> {
    const known = this.#lists.get(name) as Promise<T> | undefined
    if (known) return known
    const list = read()
    this.#lists.set(name, list)
    return list
  }
}

/** Whether a guest takes changes of its interfaces now. */
export function isUp({ status }: Machine): boolean {
  return status === 'up'
}

/** Whether a VM has an instance that has not ended. */
export function hasGuest({ vmi }: Machine): boolean {
  return vmi !== undefined && isRunning(vmi)
}

/** The profile of the network's own name, and the others. */
function profilesOf(network: Network, nad: Stored<NetworkAttachmentDefinition> | undefined): Profile[] {
  const declared = nad ? declaredProfiles(nad) : []
  const own = declared.find(({ name }) => name === network.name) ?? {
    name: network.name,
    isMirroring: false,
    comment: '',
  }
  const all = [own, ...declared.filter(({ name }) => name !== network.name)]
  return all.map((one) => ({ ...one, id: idIn(network.id, `profile/${one.name}`), network }))
}

function clusterOf({ metadata }: Stored<VirtualMachine>, clusters: readonly Cluster[]): Cluster | undefined {
  const near = clusters.filter(({ dataCenter }) => dataCenter.namespace === metadata.namespace)
  const name = metadata.labels?.[clusterLabel]
  return near.find((one) => one.name === name) ?? near.find(({ isFirst }) => isFirst)
}

function byName(a: Readonly<{ name: string }>, b: Readonly<{ name: string }>): number {
  return a.name.localeCompare(b.name)
}

function keyOf({ metadata }: Readonly<{ metadata: Readonly<{ name: string; namespace: string }> }>): string {
  return `${metadata.namespace}/${metadata.name}`
}

function keyOrder({ metadata }: Stored<VirtualMachine>): string {
  return `${metadata.name}\0${metadata.namespace}`
}
