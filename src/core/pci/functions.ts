/** A virtual function (VF) of a network card with SR-IOV, as a host shows it. */
export type VirtualFunction = Readonly<{
  /** PCI address: `0000:01:10.0`. */
  address: string
  /** Vendor and device by their numbers, without `0x`: `8086`, `10ca`. */
  vendor: string
  device: string
  /** The driver that it is bound to; absent when it is bound to none. */
  driver?: string
  /** The physical function that it is of. */
  parent: Readonly<{
    address: string
    /** The name of its network link on the host; absent when it has none there. */
    link?: string
  }>
  /** Its number at the physical function. */
  index: number
  /** Its IOMMU group; absent when the host has no IOMMU or does not use it. */
  group?: Readonly<{
    id: number
    /** Addresses of other devices in it; what takes one of them takes all. */
    others: readonly string[]
  }>
  /** The NUMA node that it is nearest to; absent when the host has one only. */
  numaNode?: number
}>

/** The driver that hands a device to a guest. */
export const passDriver = 'vfio-pci'

/** Why a VF cannot be given to a guest; undefined when it can. */
export function unusable({ address, group }: VirtualFunction): string | undefined {
  if (!group)
    return `${address} is in no IOMMU group: switch the IOMMU on in the firmware and for the kernel (intel_iommu=on)`
  if (!group.others.length) return undefined
  return `${address} shares IOMMU group ${group.id} with ${group.others.join(', ')}, which would go to the guest as well: use a slot whose devices are isolated (PCIe ACS)`
}
