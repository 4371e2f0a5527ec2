import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import { bindingOf, bindings } from '../nic/bindings.ts'

/** The labels of `kubevirt_vmi_vnic_info` for one interface (facts/kubevirt.md §7). */
export type VnicInfo = Readonly<{
  vnic_name: string
  binding_type: string
  network: string
  binding_name: string
  model: string
}>

/** The labels of all interfaces of a spec; those of DRA networks are left out, as KubeVirt does. */
export function vnicInfos(spec: VmiSpec): VnicInfo[] {
  const networks = new Map((spec.networks ?? []).map((network) => [network.name, network]))
  return (spec.domain.devices.interfaces ?? []).flatMap((one): VnicInfo[] => {
    const network = networks.get(one.name)
    if (!network || network.resourceClaim) return []
    const binding = bindingOf(one)
    const kind = binding ? bindings[binding].kind : ''
    return [
      {
        vnic_name: one.name,
        binding_type: kind,
        network: network.pod ? 'pod networking' : (network.multus?.networkName ?? ''),
        binding_name: one.binding?.name ?? (kind && binding) ?? '',
        model: one.model ?? 'virtio',
      },
    ]
  })
}
