import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'

/** A device of a recorded sysfs: its files, and where its links lead. */
type Device = Readonly<{ files: Readonly<Record<string, string>>; links?: Readonly<Record<string, string>> }>

/** Two VFs of an igb card, as the kernel shows them with an IOMMU. */
export const igb: Readonly<Record<string, Device>> = {
  '0000:01:00.0': {
    files: { vendor: '0x8086', device: '0x10c9', class: '0x020000', sriov_totalvfs: '7', 'net/ens1f0/mtu': '1500' },
    links: { driver: '../../../bus/pci/drivers/igb', virtfn0: '../0000:01:10.0', virtfn1: '../0000:01:10.2' },
  },
  '0000:01:10.0': {
    files: { vendor: '0x8086', device: '0x10ca', class: '0x020000', numa_node: '-1' },
    links: { physfn: '../0000:01:00.0', iommu_group: '../../groups/10' },
  },
  '0000:01:10.2': {
    files: { vendor: '0x8086', device: '0x10ca', class: '0x020000', numa_node: '1' },
    links: {
      physfn: '../0000:01:00.0',
      iommu_group: '../../groups/11',
      driver: '../../../bus/pci/drivers/vfio-pci',
    },
  },
  '0000:00:04.0': { files: { vendor: '0x1b36', device: '0x000c', class: '0x060400' } },
}

/** Writes devices and groups as sysfs has them; returns the folder of the devices. */
export function writeSysfs(
  folder: string,
  devices: Readonly<Record<string, Device>>,
  groups: Readonly<Record<string, readonly string[]>>,
): string {
  const write = (path: string, text: string) => {
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, `${text}\n`)
  }
  for (const [address, { files, links = {} }] of Object.entries(devices)) {
    const own = `${folder}/devices/${address}`
    for (const [name, text] of Object.entries(files)) write(`${own}/${name}`, text)
    for (const [name, target] of Object.entries(links)) symlinkSync(target, `${own}/${name}`)
  }
  for (const [group, members] of Object.entries(groups)) {
    mkdirSync(`${folder}/groups/${group}/devices`, { recursive: true })
    for (const one of members) symlinkSync(`../../../devices/${one}`, `${folder}/groups/${group}/devices/${one}`)
  }
  return `${folder}/devices`
}
