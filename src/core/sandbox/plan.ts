import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import {
  defaultNetworkAnnotation,
  type NetworkSelection,
  type NetworkStatus,
  networksAnnotation,
} from '#apis/net/attachment.ts'
import { anySourceAnnotation, isTrueAnnotation } from '../annotations.ts'
import { isDevice } from '../nic/bindings.ts'
import { type DesiredNic, isNad, isNetwork, podNetwork } from '../nic/nic.ts'
import { poolConfigKey } from '../pci/pool-config.ts'
import { resourceNameAnnotation } from '../pci/request.ts'
import type { DevicePool } from '../pci/taken.ts'
import { type DhcpSettings, dhcpSettings } from './dhcp.ts'

/**
 * One network in a sandbox, connected to a card of the guest: the recorded part of a wanted interface, and the parameters for
 * CNI.
 */
export type Attachment = Readonly<
  Written & {
    /**
     * CNI configuration text of the NAD; absent for the pod network, which has the host's own configuration, for no network, and
     * if the NAD does not exist.
     */
    config?: string
    /** Why there is no configuration, for the owner; used only until the network is attached. */
    problem?: string
    /** The guest may send from any MAC and address there (see anySourceAnnotation). */
    isOpen?: true
    /** Addresses of this network that the guest had in the sandbox it was migrated from, and may continue to use. */
    carried?: readonly string[]
    /** The limits of the instance's annotations, for plugins that declare the capability; unparsed. */
    bandwidth?: Bandwidth
    /** The pool that a device of the host is taken from, for a binding that has one; used only until it is taken. */
    pool?: DevicePool
    /** The guest's DHCP options. Records of earlier versions have none. */
    dhcp?: DhcpSettings
  }
>

/** The recorded part of an interface; everything else can change while the sandbox exists, and is passed when it is needed. */
type Written = Pick<DesiredNic, 'name' | 'network' | 'links' | 'binding' | 'mac' | 'queues' | 'guestCidr' | 'ports'>

/** Traffic limits to a guest (ingress) and from it (egress), bits per second, as quantities. */
export type Bandwidth = Readonly<{ ingress?: string; egress?: string }>

/** Kubernetes' annotations of pods; here they apply to every network whose configuration declares the capability `bandwidth`. */
const ingressAnnotation = 'kubernetes.io/ingress-bandwidth'
const egressAnnotation = 'kubernetes.io/egress-bandwidth'

/** The traffic limits in an instance's annotations, if there are any. */
function bandwidthWanted(annotations: Readonly<Record<string, string>> = {}): Bandwidth | undefined {
  const { [ingressAnnotation]: ingress, [egressAnnotation]: egress } = annotations
  if (ingress === undefined && egress === undefined) return undefined
  return { ...(ingress !== undefined && { ingress }), ...(egress !== undefined && { egress }) }
}

/** Looks up NADs by `namespace/name`, undefined for one that does not exist; and the pools that they name. */
export type FindNads = Readonly<{
  configOf: (network: string) => string | undefined
  annotationsOf: (network: string) => Readonly<Record<string, string>> | undefined
  /** The pool of a resource (`PREFIX/NAME`) on this node; undefined when it has none. */
  poolOf: (resource: string) => DevicePool | undefined
}>

/** The attachments that interfaces of an instance need. */
export function attachmentsOf(nics: readonly DesiredNic[], vmi: VirtualMachineInstance, find: FindNads): Attachment[] {
  const { configOf, annotationsOf } = find
  const bandwidth = bandwidthWanted(vmi.metadata.annotations)
  return nics.map((nic) => {
    const hasNad = isNad(nic.network)
    const config = hasNad ? configOf(nic.network) : undefined
    const device = isDevice(nic.binding) && config !== undefined ? deviceOf(nic, find) : {}
    const isOpen = hasNad && isTrueAnnotation(annotationsOf(nic.network), anySourceAnnotation)
    return {
      ...writtenOf(nic),
      ...(config !== undefined && { config }),
      ...(hasNad && config === undefined && { problem: missingText(nic) }),
      ...device,
      ...(isOpen && { isOpen }),
      ...(bandwidth && { bandwidth }),
      dhcp: dhcpSettings(vmi, nic),
    }
  })
}

/** The pool of an interface whose card is a device of the host, or why it has none. */
function deviceOf({ name, network }: DesiredNic, find: FindNads): Pick<Attachment, 'pool' | 'problem'> {
  const resource = find.annotationsOf(network)?.[resourceNameAnnotation]
  const where = `interface "${name}" wants the NetworkAttachmentDefinition ${network}`
  if (!resource)
    return { problem: `${where}, which names no resource; give it the annotation ${resourceNameAnnotation}` }
  const pool = find.poolOf(resource)
  const { namespace, name: map } = poolConfigKey
  return pool
    ? { pool }
    : { problem: `${where}, whose resource ${resource} this node does not have; see ConfigMap ${namespace}/${map}` }
}

function writtenOf(nic: DesiredNic): Written {
  const { name, network, links, binding, mac, queues, guestCidr, ports } = nic
  return { name, network, links, binding, mac, queues, guestCidr, ports }
}

function missingText(nic: DesiredNic): string {
  return `interface "${nic.name}" wants the NetworkAttachmentDefinition ${nic.network}, which does not exist or has no config; create it, or change networkName in the VM`
}

/** Multus' annotation that requests an instance's secondary interfaces. */
export function networksRequest(nics: readonly DesiredNic[]): Record<string, string> {
  const wanted = nics
    .filter((nic) => !nic.primary && isNad(nic.network))
    .map((nic): NetworkSelection => {
      const [namespace, name] = nic.network.split('/') as [string, string]
      return { name, namespace, interface: nic.links.pod, mac: nic.mac }
    })
  const standard = nics.find((nic) => nic.primary && nic.network !== podNetwork)
  return {
    ...(wanted.length && { [networksAnnotation]: JSON.stringify(wanted) }),
    ...(standard && { [defaultNetworkAnnotation]: standard.network }),
  }
}

/** Multus' annotation with the networks of a sandbox; `devices` has the PCI addresses of the host's devices, by interface. */
export function networkStatuses(
  attachments: readonly Attachment[],
  ips: ReadonlyMap<string, readonly string[]>,
  devices: ReadonlyMap<string, string> = new Map(),
): NetworkStatus[] {
  const onNetworks = attachments.filter(({ network }) => isNetwork(network))
  return onNetworks.map(({ name, network, links, mac }) => {
    const own = ips.get(name) ?? []
    return {
      name: network === podNetwork ? 'patchbay-pod' : network,
      interface: links.pod,
      mac,
      ...(own.length && { ips: own }),
      ...(links.pod === 'eth0' && { default: true }),
      dns: {},
      ...deviceInfo(devices.get(name)),
    }
  })
}

/** KubeVirt's annotation with the devices of a sandbox's interfaces; undefined when it has none. */
export function networkInfo(
  attachments: readonly Attachment[],
  devices: ReadonlyMap<string, string>,
): string | undefined {
  const interfaces = attachments
    .flatMap(({ name, mac }) => {
      const info = deviceInfo(devices.get(name))['device-info']
      return info ? [{ network: name, deviceInfo: info, mac }] : []
    })
    .toSorted((a, b) => (a.network < b.network ? -1 : 1))
  return interfaces.length ? JSON.stringify({ interfaces }) : undefined
}

function deviceInfo(address: string | undefined): Pick<NetworkStatus, 'device-info'> {
  return address === undefined
    ? {}
    : { 'device-info': { type: 'pci', version: '1.1.0', pci: { 'pci-address': address } } }
}
