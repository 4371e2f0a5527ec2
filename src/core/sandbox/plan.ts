import {
  defaultNetworkAnnotation,
  type NetworkSelection,
  type NetworkStatus,
  networksAnnotation,
} from '#apis/net/attachment.ts'
import type { DesiredNic } from '../nic/desired.ts'
import type { LinkNames } from '../nic/names.ts'
import { podNetwork } from '../nic/nic.ts'

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
  queues: number
  /** The network a masqueraded guest sees. */
  guestCidr: string
  /** Ports of the pod address that go to the guest; all when empty (masquerade only). */
  ports: readonly Readonly<{ protocol: 'tcp' | 'udp'; port: number }>[]
}>

/** The attachments an instance's interfaces need. `configOf` looks a NAD's configuration up by `namespace/name`. */
export function attachmentsOf(
  nics: readonly DesiredNic[],
  queues: number,
  configOf: (network: string) => string | undefined,
): Attachment[] {
  return nics.map((nic) => {
    const config = nic.network === podNetwork ? undefined : configOf(nic.network)
    return {
      name: nic.name,
      network: nic.network,
      ...(config !== undefined && { config }),
      ...(nic.network !== podNetwork && config === undefined && { problem: missingText(nic) }),
      links: nic.links,
      binding: nic.binding,
      mac: nic.mac,
      queues: nic.model === 'virtio' ? queues : 1,
      guestCidr: nic.guestCidr,
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
