import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFileAtomic } from '#base/file.ts'
import { run } from '../host/run.ts'

/** One guest interface to serve: its MAC gets one address for ever. */
export type DhcpLease = Readonly<{
  /** The bridge to serve on, and our own address on it. */
  bridge: string
  server: string
  mac: string
  address: string
  netmask: string
  router?: string
  dns: readonly string[]
  mtu: number
  hostname: string
  /** Our address is outside the guest's subnet, so dnsmasq has to be told that the subnet is served here too. */
  foreignSubnet: boolean
}>

/** The configuration of a dnsmasq that serves one lease and nothing else. */
export function dnsmasqConfig(lease: DhcpLease, { pidFile, leaseFile }: DnsmasqPaths): string {
  return [
    'port=0',
    `interface=${lease.bridge}`,
    'bind-interfaces',
    'except-interface=lo',
    'no-resolv',
    'no-hosts',
    'no-ping',
    // Guests of other sandboxes on the same network are heard too, and all servers have one address: without this, one that
    // asks its own server for its address would be refused by all the others.
    'dhcp-ignore=tag:!known',
    `dhcp-leasefile=${leaseFile}`,
    'user=root',
    `pid-file=${pidFile}`,
    ...(lease.foreignSubnet ? [`shared-network=${lease.bridge},${lease.address}`] : ['dhcp-authoritative']),
    `dhcp-range=${lease.address},static,${lease.netmask},infinite`,
    `dhcp-host=${lease.mac},${lease.address},${lease.hostname}`,
    // Without a router dnsmasq would name itself, which routes nowhere.
    lease.router === undefined ? 'dhcp-option=option:router' : `dhcp-option=option:router,${lease.router}`,
    ...(lease.dns.length ? [`dhcp-option=option:dns-server,${lease.dns.join(',')}`] : []),
    `dhcp-option=option:mtu,${lease.mtu}`,
    '',
  ].join('\n')
}

/** Runs a dnsmasq in a namespace, from files in `folder`; one that runs already with the same configuration is left alone. */
export async function ensureDnsmasq(
  netns: string,
  folder: string,
  lease: DhcpLease,
  signal: AbortSignal,
): Promise<void> {
  const paths = dnsmasqPaths(folder, lease.bridge)
  const { pidFile, configFile } = paths
  const config = dnsmasqConfig(lease, paths)
  const pid = await dnsmasqPid(pidFile, configFile)
  const same = (await readFile(configFile, 'utf8').catch(() => '')) === config
  if (pid !== undefined && same) return
  if (pid !== undefined) process.kill(pid, 'SIGKILL')
  await writeFileAtomic(configFile, config)
  await run('ip', ['netns', 'exec', netns, 'setsid', 'dnsmasq', '-C', configFile], { signal })
}

/** Ends the dnsmasq of a bridge and removes its files; none is no error. */
export async function stopDnsmasq(folder: string, bridge: string): Promise<void> {
  const { pidFile, configFile, leaseFile } = dnsmasqPaths(folder, bridge)
  const pid = await dnsmasqPid(pidFile, configFile)
  if (pid !== undefined) process.kill(pid, 'SIGKILL')
  for (const file of [pidFile, configFile, leaseFile]) await rm(file, { force: true })
}

type DnsmasqPaths = Readonly<{ pidFile: string; configFile: string; leaseFile: string }>

/** What the file ends in that a dnsmasq writes whenever a guest has taken its address. */
export const leaseSuffix = '.leases'

/** Where a dnsmasq's files are. */
export function dnsmasqPaths(folder: string, bridge: string): DnsmasqPaths {
  const at = (suffix: string) => join(folder, `dnsmasq-${bridge}${suffix}`)
  return { pidFile: at('.pid'), configFile: at('.conf'), leaseFile: at(leaseSuffix) }
}

/** The process of a pid file, if it is really the dnsmasq of this configuration. */
export async function dnsmasqPid(pidFile: string, configFile: string): Promise<number | undefined> {
  const pid = Number((await readFile(pidFile, 'utf8').catch(() => '')).trim())
  if (!pid) return undefined
  const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
  return command.split('\0').includes(configFile) ? pid : undefined
}
