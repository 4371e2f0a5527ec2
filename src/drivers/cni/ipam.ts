import { resolve } from 'node:path'
import { Fault } from '#base/fault.ts'
import { exists } from '#base/file.ts'
import { isObject } from '#base/json.ts'
import { type Conflist, type PluginConf, quoted } from './conflist.ts'

const defaultDhcpSocket = '/run/cni/dhcp.sock'

/** @throws Fault Unavailable when IPAM is the dhcp plugin and its daemon does not run */
export async function requireDhcpDaemon({ name, plugins }: Conflist): Promise<void> {
  for (const { ipam } of plugins) {
    if (!isObject(ipam) || ipam.type !== 'dhcp') continue
    const socket = typeof ipam.daemonSocketPath === 'string' ? ipam.daemonSocketPath : defaultDhcpSocket
    if (await exists(socket)) continue
    throw new Fault(
      'Unavailable',
      `network "${name}" takes addresses by DHCP (ipam.type "dhcp"), but no CNI DHCP daemon of this host listens at ${quoted(socket)}; start one ("dhcp daemon", beside the other CNI plugins) or take ipam out of the network's config: then guests ask the network themselves`,
    )
  }
}

/**
 * Sets our folder for leases. A plugin creates folders and files wherever its configuration says, as root: any other folder
 * is refused.
 * @throws Fault Invalid
 */
export function withIpamDir(conflist: Conflist, ipamDir: string): Conflist {
  const plugins = conflist.plugins.map((plugin): PluginConf => {
    const { ipam } = plugin
    requireBelow(ipamDir, plugin.dataDir, 'dataDir')
    if (!isObject(ipam)) return plugin
    requireBelow(ipamDir, ipam.dataDir, 'ipam.dataDir')
    if (ipam.type !== 'host-local' || ipam.dataDir !== undefined) return plugin
    return { ...plugin, ipam: { ...ipam, dataDir: ipamDir } }
  })
  return { ...conflist, plugins }
}

function requireBelow(folder: string, path: unknown, field: string): void {
  if (path === undefined) return
  if (typeof path === 'string' && !path.includes('\0') && path.startsWith('/')) {
    const whole = resolve(path)
    if (whole === folder || whole.startsWith(`${folder}/`)) return
  }
  throw new Fault('Invalid', `${field}: ${quoted(path)} is not below ${folder}; leave it out, or name a folder there`)
}
