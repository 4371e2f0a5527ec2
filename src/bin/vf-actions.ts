import { readFile } from 'node:fs/promises'
import { Fault } from '#base/fault.ts'
import { table } from '#cli/table.ts'
import { passDriver, unusable, type VirtualFunction } from '#core/pci/functions.ts'
import { type PoolConfig, parsePools } from '#core/pci/pool-config.ts'
import { poolAmounts, poolsOf } from '#core/pci/pools.ts'
import type { VfSettings } from '#core/pci/settings.ts'
import { PciBindings } from '#drivers/host/pci/binding.ts'
import { listFunctions } from '#drivers/host/pci/functions.ts'
import { VfSettingsDriver } from '#drivers/host/pci/settings.ts'

/** Time that a card may take to answer, milliseconds. */
const cardMs = 10_000

type Print = (line: string) => void

/** Prints the virtual functions of this host, by the pools of a file if one is given. @throws Fault Invalid */
export async function listVfs(poolFile: string | undefined, print: Print): Promise<void> {
  const config = poolFile === undefined ? [] : await readPools(poolFile)
  const all = listFunctions()
  if (!all.length) {
    print('This host has no virtual functions: make them by writing their number to sriov_numvfs of the card')
    return
  }
  const pools = poolsOf(config, all)
  const poolOf = new Map(pools.flatMap(({ resource, functions }) => functions.map((vf) => [vf.address, resource])))
  const rows = await Promise.all(
    all.map(async (vf) => {
      const { address, parent, index, driver, group } = vf
      const { mac, vlan } = await settingsOf(vf)
      const seen = [mac ?? '-', vlan ? String(vlan.id) : '-', poolOf.get(address) ?? '-']
      return [address, parent.link ?? parent.address, String(index), driver ?? '-', String(group?.id ?? '-'), ...seen]
    }),
  )
  for (const line of table(['ADDRESS', 'CARD', 'VF', 'DRIVER', 'GROUP', 'MAC', 'VLAN', 'POOL'], rows)) print(line)
  for (const problem of all.flatMap((vf) => unusable(vf) ?? [])) print(problem)
  const { capacity, allocatable } = poolAmounts(pools)
  for (const [resource, count] of Object.entries(allocatable)) print(`${resource}: ${count} of ${capacity[resource]}`)
}

async function readPools(file: string): Promise<readonly PoolConfig[]> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new Fault('Invalid', `--pools ${file} cannot be read`, { cause })
  })
  const { pools, errors } = parsePools(text)
  if (errors.length) throw new Fault('Invalid', `--pools ${file}: ${errors.join('; ')}`)
  return pools
}

/** No settings for a card that does not tell them. */
function settingsOf(vf: VirtualFunction): Promise<VfSettings> {
  return new VfSettingsDriver().read(vf, AbortSignal.timeout(cardMs)).catch(() => ({}))
}

/** An address of its own that no card has: the second bit says that it was made locally. */
const triedMac = '02:00:00:00:00:01'

/**
 * Gives a virtual function to vfio-pci with a MAC address, as for a guest, and puts back everything. @throws Fault Invalid,
 * Unavailable with the first thing that does not work and its remedy
 */
export async function checkVf(address: string, print: Print): Promise<void> {
  const vf = listFunctions().find((one) => one.address === address)
  if (!vf) throw new Fault('Invalid', `This host has no virtual function ${address}; patchbay vf list shows all`)
  const problem = unusable(vf)
  if (problem !== undefined) throw new Fault('Invalid', problem)
  if (vf.driver === passDriver)
    throw new Fault('Invalid', `${address} is bound to ${passDriver}, so a guest may have it: it is left alone`)
  const [bindings, settings] = [new PciBindings(), new VfSettingsDriver()]
  const signal = AbortSignal.timeout(cardMs)
  const before = { binding: bindings.read(address) ?? {}, settings: await settings.read(vf, signal) }
  const wanted = { mac: triedMac }
  await settings.apply(vf, wanted, before.settings, signal)
  try {
    print(`The card ${vf.parent.link} gives it the MAC address ${triedMac}`)
    try {
      await bindings.pass(address)
      print(`${passDriver} takes it from ${vf.driver ?? 'no driver'}, in IOMMU group ${vf.group?.id}`)
    } finally {
      await bindings.restore(address, before.binding)
    }
  } finally {
    // Also when its driver does not take it back.
    await settings.restore(vf, wanted, before.settings, AbortSignal.timeout(cardMs))
  }
  print('Everything is as before: it can be given to a guest')
}
