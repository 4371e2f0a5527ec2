import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { basename } from 'node:path'
import type { VirtualFunction } from '#core/pci/functions.ts'

/** Class of PCI bridges, which are in the groups of what is behind them and are never given away. */
const bridgeClass = '0x0604'

/**
 * The VFs of this host. A host whose kernel has no SR-IOV has none. sysfs reports no changes, so this is called again and
 * again; the reads are synchronous, since the kernel answers at once. A VF that goes meanwhile is left out.
 */
export function listFunctions(devices = '/sys/bus/pci/devices'): VirtualFunction[] {
  return namesIn(devices).flatMap((parent) =>
    namesIn(`${devices}/${parent}`).flatMap((name) => {
      const index = /^virtfn(\d+)$/.exec(name)?.[1]
      const address = index === undefined ? undefined : linked(`${devices}/${parent}/${name}`)
      return address === undefined ? [] : (functionOf(devices, address, parent, Number(index)) ?? [])
    }),
  )
}

function functionOf(devices: string, address: string, parent: string, index: number): VirtualFunction | undefined {
  const folder = `${devices}/${address}`
  const read = (name: string) => textOf(`${folder}/${name}`)
  const [vendor, device] = [read('vendor'), read('device')]
  if (vendor === undefined || device === undefined) return undefined
  const driver = linked(`${folder}/driver`)
  const link = namesIn(`${devices}/${parent}/net`)[0]
  const group = linked(`${folder}/iommu_group`)
  const numaNode = Number(read('numa_node') ?? '-1')
  return {
    address,
    vendor: vendor.replace(/^0x/, ''),
    device: device.replace(/^0x/, ''),
    ...(driver !== undefined && { driver }),
    parent: { address: parent, ...(link !== undefined && { link }) },
    index,
    ...(group !== undefined && { group: { id: Number(group), others: othersIn(`${folder}/iommu_group`, address) } }),
    ...(numaNode >= 0 && { numaNode }),
  }
}

function othersIn(group: string, address: string): string[] {
  return namesIn(`${group}/devices`).filter(
    (one) => one !== address && !textOf(`${group}/devices/${one}/class`)?.startsWith(bridgeClass),
  )
}

function namesIn(folder: string): string[] {
  return unlessGone(() => readdirSync(folder).toSorted()) ?? []
}

/** The last part of where a symbolic link leads. */
function linked(path: string): string | undefined {
  return unlessGone(() => basename(readlinkSync(path)))
}

function textOf(path: string): string | undefined {
  return unlessGone(() => readFileSync(path, 'utf8').trim())
}

function unlessGone<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
