import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import {
  defaultNetworkAnnotation,
  type NetworkSelection,
  type NetworkStatus,
  networksAnnotation,
} from '#apis/net/attachment.ts'
import { anySourceAnnotation, isTrueAnnotation } from '../annotations.ts'
import type { DesiredNic } from '../nic/desired.ts'
import type { LinkNames } from '../nic/names.ts'
import { podNetwork } from '../nic/nic.ts'
import { queuesOf } from '../vm/domain.ts'
import { type DhcpTold, dhcpTold } from './dhcp.ts'

/** One network put into a sandbox and joined to the guest. */
export type Attachment = Readonly<{
  /** Logical name of the interface. */
  name: string
  /** `pod`, or `namespace/name` of the NAD. */
  network: string
  /** CNI configuration text of the NAD; absent for the pod network, whose configuration is the host's own, and when missing. */
  config?: string
  /** Why there is no configuration, for the owner. It matters only until the network is attached. */
  problem?: string
  links: LinkNames
  binding: 'bridge' | 'masquerade'
  /** The guest's MAC. */
  mac: string
  /** Whether the guest may send from any MAC and address there (see anySourceAnnotation). */
  isOpen?: true
  /** Addresses of this network that the guest brought from the sandbox it came from, and may go on with. */
  carried?: readonly string[]
  queues: number
  /** The network a masqueraded guest sees. */
  guestCidr: string
  /** Ports of the pod address that go to the guest; all when empty (masquerade only). CNI is told of them where it asks for them. */
  ports: readonly Readonly<{ protocol: 'tcp' | 'udp'; port: number }>[]
  /** What the instance's annotations ask for, where CNI asks for it; as written there. */
  bandwidth?: Bandwidth
  /** What the guest is told by DHCP. Sandboxes of earlier versions do not say. */
  dhcp?: DhcpTold
}>

/** Most traffic to a guest (ingress) and from it, bits per second, as quantities. */
export type Bandwidth = Readonly<{ ingress?: string; egress?: string }>

/** Kubernetes' annotations of pods; here they are for every network whose configuration declares the capability `bandwidth`. */
const ingressAnnotation = 'kubernetes.io/ingress-bandwidth'
const egressAnnotation = 'kubernetes.io/egress-bandwidth'

/** The traffic limits in an instance's annotations, if there are any. */
function bandwidthWanted(annotations: Readonly<Record<string, string>> = {}): Bandwidth | undefined {
  const { [ingressAnnotation]: ingress, [egressAnnotation]: egress } = annotations
  if (ingress === undefined && egress === undefined) return undefined
  return { ...(ingress !== undefined && { ingress }), ...(egress !== undefined && { egress }) }
}

/** Finds what a NAD says, by `namespace/name`; undefined where there is none. */
export type FindNads = Readonly<{
  configOf: (network: string) => string | undefined
  annotationsOf: (network: string) => Readonly<Record<string, string>> | undefined
}>

/** The attachments that interfaces of an instance need. */
export function attachmentsOf(
  nics: readonly DesiredNic[],
  vmi: VirtualMachineInstance,
  { configOf, annotationsOf }: FindNads,
): Attachment[] {
  const queues = queuesOf(vmi.spec)
  const bandwidth = bandwidthWanted(vmi.metadata.annotations)
  return nics.map((nic) => {
    const isPod = nic.network === podNetwork
    const config = isPod ? undefined : configOf(nic.network)
    const isOpen = !isPod && isTrueAnnotation(annotationsOf(nic.network), anySourceAnnotation)
    return {
      name: nic.name,
      network: nic.network,
      ...(config !== undefined && { config }),
      ...(!isPod && config === undefined && { problem: missingText(nic) }),
      links: nic.links,
      binding: nic.binding,
      mac: nic.mac,
      ...(isOpen && { isOpen }),
      queues: nic.model === 'virtio' ? queues : 1,
      ...(bandwidth && { bandwidth }),
      guestCidr: nic.guestCidr,
      dhcp: dhcpTold(vmi, nic),
      ports: nic.ports.flatMap(({ port, protocol }) =>
        port === undefined
          ? []
          : [{ port, protocol: protocol?.toUpperCase() === 'UDP' ? ('udp' as const) : ('tcp' as const) }],
      ),
    }
  })
}

function missingText(nic: DesiredNic): string {
  return `interface "${nic.name}" wants the NetworkAttachmentDefinition ${nic.network}, which does not exist or has no config; create it, or change networkName in the VM`
}

/** Multus' request annotation for an instance's secondary interfaces. */
export function networksRequest(nics: readonly DesiredNic[]): Record<string, string> {
  const wanted = nics
    .filter((nic) => !nic.primary)
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

/** Multus' answer annotation for what a sandbox has. */
export function networkStatuses(
  attachments: readonly Attachment[],
  ips: ReadonlyMap<string, readonly string[]>,
): NetworkStatus[] {
  return attachments.map(({ name, network, links, mac }) => {
    const own = ips.get(name) ?? []
    return {
      name: network === podNetwork ? 'patchbay-pod' : network,
      interface: links.pod,
      mac,
      ...(own.length && { ips: own }),
      ...(links.pod === 'eth0' && { default: true }),
      dns: {},
    }
  })
}
