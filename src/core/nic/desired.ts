import type { Interface, InterfaceState, Network } from '#apis/kubevirt/interface.ts'
import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import { queuesOf } from '../vm/cpu.ts'
import { bindingOf, bindings, isDevice, runBindings } from './bindings.ts'
import { linkNames, primaryLinkNames } from './names.ts'
import { type DesiredNic, effectiveLink, noNetwork, podNetwork } from './nic.ts'

/** The network of a masqueraded guest unless its owner chose another (facts/kubevirt.md §1.2). */
const defaultGuestCidr = '10.0.2.0/24'

/** `down` in either spelling; everything else is up (facts/kubevirt.md §2.2). */
export function linkOf(state: string | undefined): 'up' | 'down' {
  const known: InterfaceState | string | undefined = state
  return known === 'down' || known === 'linkDown' ? 'down' : 'up'
}

/** MAC addresses in one spelling: lower case, colons. */
export function normalMac(mac: string): string {
  return mac.toLowerCase().replaceAll('-', ':')
}

/** Whether a network is the default one: the pod network, or a Multus network that replaces it. */
export function isDefaultNetwork(network: Network): boolean {
  return network.pod !== undefined || network.multus?.default === true
}

/** The network of a Nic that a network of a spec means. */
export function networkKey(network: Network, namespace: string): string {
  const name = network.multus?.networkName
  return name === undefined ? podNetwork : multusKey(name, namespace)
}

/** The network of a Nic that a `multus.networkName` means: `namespace/name` of a NAD, or no network. */
export function multusKey(networkName: string, namespace: string): string {
  if (networkName === noNetwork) return noNetwork
  return networkName.includes('/') ? networkName : `${namespace}/${networkName}`
}

/** The interfaces that an instance is to have, in the order of its spec; those that are `absent` are left out. */
export function desiredNics(spec: VmiSpec, namespace: string): DesiredNic[] {
  return wantedNics(spec, namespace).filter((nic) => !nic.absent)
}

/**
 * All interfaces of a spec, including those that are `absent`. Defaults and synonyms are resolved here, so that all other code
 * sees one spelling. `namespace` is the instance's own.
 */
export function wantedNics(spec: VmiSpec, namespace: string): DesiredNic[] {
  const networks = new Map((spec.networks ?? []).map((network) => [network.name, network]))
  const queues = queuesOf(spec)
  return (spec.domain.devices.interfaces ?? []).flatMap((one): DesiredNic[] => {
    const network = networks.get(one.name)
    if (!network) return []
    const primary = isDefaultNetwork(network)
    const binding = bindingOf(one)
    const model = one.model ?? 'virtio'
    const key = networkKey(network, namespace)
    return [
      {
        name: one.name,
        mac: normalMac(one.macAddress ?? ''),
        model,
        binding: binding ?? 'bridge',
        network: key,
        link: effectiveLink(linkOf(one.state), key),
        queues: model === 'virtio' && !isDevice(binding) ? queues : 1,
        links: primary ? primaryLinkNames : linkNames(network.name),
        primary,
        ports: portsOf(one),
        ...(one.dhcpOptions && { dhcpOptions: one.dhcpOptions }),
        ...(one.pciAddress && { pciAddress: one.pciAddress }),
        ...(one.acpiIndex !== undefined && { acpiIndex: one.acpiIndex }),
        ...(one.bootOrder !== undefined && { bootOrder: one.bootOrder }),
        guestCidr: network.pod?.vmNetworkCIDR ?? defaultGuestCidr,
        absent: one.state === 'absent',
        isPluggable: binding !== undefined && bindings[binding].isPluggable && !primary,
      },
    ]
  })
}

/** The first reason why an interface cannot be run by this version, with a remedy; undefined when all can. */
export function unsupportedInterface(spec: VmiSpec): string | undefined {
  for (const one of spec.domain.devices.interfaces ?? []) {
    const binding = bindingOf(one)
    if (binding && bindings[binding].isRun) continue
    const word = one.binding ? `plugin ${one.binding.name}` : (binding ?? 'unknown')
    return `interface "${one.name}" uses the binding ${word}, which this version cannot run; use ${runBindings.join(' or ')}`
  }
  return undefined
}

function portsOf({ ports = [], portRanges = [] }: Interface): DesiredNic['ports'] {
  const protocolOf = (protocol = 'TCP') => (protocol.toUpperCase() === 'UDP' ? ('udp' as const) : ('tcp' as const))
  return [
    ...ports.flatMap(({ port, protocol }) => (port === undefined ? [] : [{ port, protocol: protocolOf(protocol) }])),
    ...portRanges.map(({ start, end, protocol }) => ({ port: start, end, protocol: protocolOf(protocol) })),
  ]
}
