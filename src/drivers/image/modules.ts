import { Fault } from '#base/fault.ts'

/** The modules of the demo guest, in load order: network, console and power button. Built-in and missing ones are left out. */
export const wantedModules = [
  'failover',
  'net_failover',
  'virtio_ring',
  'virtio',
  'virtio_pci_modern_dev',
  'virtio_pci_legacy_dev',
  'virtio_pci',
  'virtio_net',
  'virtio_console',
  'button',
  'evdev',
] as const

/** The dependencies of a module, from its file: a list of `name=value` strings, each ended by a zero byte. */
export function dependenciesOf(module: Buffer): readonly string[] {
  const marker = Buffer.from('\0depends=')
  const at = module.indexOf(marker)
  if (at < 0) return []
  const start = at + marker.length
  const names = module.toString('latin1', start, module.indexOf(0, start))
  return names.split(',').filter((name) => name !== '')
}

/**
 * The load order of modules: each after its dependencies, otherwise as wanted.
 * @throws Fault Bug when modules need each other.
 */
export function loadOrder(wanted: readonly string[], needs: ReadonlyMap<string, readonly string[]>): readonly string[] {
  const order: string[] = []
  const visit = (name: string, path: readonly string[]) => {
    if (order.includes(name)) return
    const dependencies = needs.get(name)
    // Not a file: built into the kernel, or missing.
    if (!dependencies) return
    if (path.includes(name)) throw new Fault('Bug', `Kernel modules need each other: ${[...path, name].join(', ')}`)
    for (const dependency of dependencies) visit(dependency, [...path, name])
    order.push(name)
  }
  for (const name of wanted) visit(name, [])
  return order
}
