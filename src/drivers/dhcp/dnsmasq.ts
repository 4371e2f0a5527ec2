import { type ChildProcess, spawn } from 'node:child_process'
import { chown, mkdir, open, readdir, readlink, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { Fault } from '#base/fault.ts'
import { readTextIfAny, writeFileAtomic } from '#base/file.ts'
import { eventually } from '#base/wait.ts'
import { shellArguments } from '../libvirt/daemon/cgroup.ts'
import { isInSandbox } from '../libvirt/daemon/process.ts'
import { type DhcpOptions, optionLines } from './options.ts'

/** One guest interface to serve: its MAC always gets the same address. */
export type DhcpLease = DhcpOptions &
  Readonly<{
    /** The bridge to serve on, and our own address on it. */
    bridge: string
    server: string
    mac: string
    address: string
    netmask: string
    /** Our address is outside the guest's subnet, so dnsmasq needs to be configured to serve it. */
    foreignSubnet: boolean
  }>

/** A sandbox as its DHCP servers need it. */
export type DhcpPlace = Readonly<{
  /** Its folder. */
  dir: string
  /** Its first process, whose file system and network they run in. */
  init: number
  /** The user they run as. */
  user: number
}>

/** The configuration of a dnsmasq that serves one lease and nothing else. */
export function dnsmasqConfig(lease: DhcpLease, leaseFile: string): string {
  return [
    'port=0',
    `interface=${lease.bridge}`,
    'bind-interfaces',
    'except-interface=lo',
    'no-resolv',
    'no-hosts',
    'no-ping',
    // Requests of other sandboxes' guests on the network arrive here too, and all servers have one address: without this,
    // every other server would refuse a guest's request to its own.
    'dhcp-ignore=tag:!known',
    `dhcp-leasefile=${leaseFile}`,
    // A guest that floods it with requests must not fill the disk.
    'log-facility=/dev/null',
    'quiet-dhcp',
    'pid-file=',
    // It never has root's rights; the user name must exist nevertheless.
    'user=root',
    ...(lease.foreignSubnet ? [`shared-network=${lease.bridge},${lease.address}`] : ['dhcp-authoritative']),
    `dhcp-range=${lease.address},static,${lease.netmask},infinite`,
    // Its name is an option of its own: here some names would have a meaning, such as `ignore`.
    `dhcp-host=${lease.mac},${lease.address}`,
    ...optionLines(lease),
    '',
  ].join('\n')
}

/** A DHCP server's capabilities: port 67, and answering guests that have no address yet. */
const capabilities = ['net_bind_service', 'net_raw', 'net_admin']

/** How long a dnsmasq may take to start, milliseconds. */
const startMs = 10_000

/** Runs a dnsmasq in a sandbox; one that runs with the same configuration is kept. @throws Fault Unavailable */
export async function ensureDnsmasq(place: DhcpPlace, lease: DhcpLease, signal: AbortSignal): Promise<void> {
  const { dir, user } = place
  const files = dnsmasqFiles(dir, lease.bridge)
  const config = dnsmasqConfig(lease, inSandbox(files.leases))
  const pid = await dnsmasqPid(dir, lease.bridge)
  const same = (await readTextIfAny(files.config)) === config
  if (pid !== undefined && same) return
  if (pid !== undefined) process.kill(pid, 'SIGKILL')
  await mkdir(dhcpFolder(dir), { recursive: true, mode: 0o755 })
  await writeFileAtomic(files.config, config, 0o644)
  // It may write only this file.
  await writeFile(files.leases, '', { flag: 'a' })
  await chown(files.leases, user, user)
  const child = await launch(place, inSandbox(files.config))
  await writeFileAtomic(files.pid, `${child.pid}\n`)
  child.unref()
  signal.throwIfAborted()
}

/** Starts a dnsmasq with the fewest rights, and resolves when it listens. */
async function launch({ dir, init, user }: DhcpPlace, config: string): Promise<ChildProcess> {
  const kept = capabilities.map((name) => `+${name}`).join(',')
  const privileges = [
    ...['--reuid', String(user), '--regid', String(user), '--clear-groups', '--no-new-privs'],
    ...['--bounding-set', `-all,${kept}`, '--inh-caps', `-all,${kept}`, '--ambient-caps', `-all,${kept}`],
  ]
  const output = await open(join(dir, 'dnsmasq.out'), 'w', 0o600)
  try {
    const child = spawn(
      'sh',
      await shellArguments(dir, [
        'nsenter',
        `--target=${init}`,
        '--mount',
        '--root',
        '--wd',
        '--net',
        'setpriv',
        ...privileges,
        'dnsmasq',
        '--keep-in-foreground',
        '-C',
        config,
      ]),
      {
        cwd: '/',
        env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
        stdio: ['ignore', output.fd, output.fd],
        detached: true,
      },
    )
    const failed = new Promise<never>((_, reject) => {
      child.once('error', (cause) => reject(new Fault('Unavailable', 'nsenter cannot be started', { cause })))
      child.once('exit', async (code) => {
        const cause = new Error((await readTextIfAny(join(dir, 'dnsmasq.out')))?.trim() || 'it said nothing')
        reject(new Fault('Unavailable', `dnsmasq ended with status ${code} instead of serving`, { cause }))
      })
    })
    const ended = new AbortController()
    const waiting = { deadlineMs: startMs, everyMs: 5, signal: ended.signal }
    const listens = eventually('dnsmasq listens', () => isListening(child.pid!), waiting)
    // Once it serves, the next observation of the sandbox notices its end.
    failed.catch(() => ended.abort())
    await Promise.race([
      failed,
      listens.catch((error: unknown) => (ended.signal.aborted ? failed : Promise.reject(error))),
    ])
    return child
  } finally {
    await output.close()
  }
}

/** Whether a process has a UDP socket on the port of DHCP servers. */
async function isListening(pid: number): Promise<boolean> {
  const table = (await readTextIfAny(`/proc/${pid}/net/udp`)) ?? ''
  const inodes = new Set([...table.matchAll(/^ *\d+: [0-9A-F]+:0043 (?:\S+ +){7}(\d+)/gm)].map((match) => match[1]))
  const files = await readdir(`/proc/${pid}/fd`).catch(() => [])
  const targets = await Promise.all(files.map((file) => readlink(`/proc/${pid}/fd/${file}`).catch(() => '')))
  return targets.some((target) => inodes.has(/^socket:\[(\d+)\]$/.exec(target)?.[1] ?? ''))
}

/** Ends the dnsmasq of a bridge, if any, and removes its files. */
export async function stopDnsmasq(dir: string, bridge: string): Promise<void> {
  const files = dnsmasqFiles(dir, bridge)
  const there = await Promise.all([files.config, files.pid].map(readTextIfAny))
  if (there.every((text) => text === undefined)) return
  const pid = await dnsmasqPid(dir, bridge)
  if (pid !== undefined) process.kill(pid, 'SIGKILL')
  for (const file of [files.pid, files.leases, files.config]) await rm(file, { force: true })
}

/** The dnsmasq that serves a bridge of a sandbox, if it runs. */
export async function dnsmasqPid(dir: string, bridge: string): Promise<number | undefined> {
  const files = dnsmasqFiles(dir, bridge)
  const pid = Number((await readTextIfAny(files.pid))?.trim())
  if (!pid || !(await isInSandbox(pid, dir))) return undefined
  const command = (await readTextIfAny(`/proc/${pid}/cmdline`)) ?? ''
  return command.split('\0').includes(inSandbox(files.config)) ? pid : undefined
}

/** The suffix of the file that a dnsmasq writes when a guest has taken its address. */
export const leaseSuffix = '.leases'

/** The folder with the files of a sandbox's DHCP servers, which see it as /run/dhcp. */
export function dhcpFolder(dir: string): string {
  return join(dir, 'run/dhcp')
}

/** Where a dnsmasq's files are on the host. The pid file is outside its view. */
function dnsmasqFiles(dir: string, bridge: string) {
  const shared = join(dhcpFolder(dir), `dnsmasq-${bridge}`)
  return { pid: join(dir, `dnsmasq-${bridge}.pid`), config: `${shared}.conf`, leases: `${shared}${leaseSuffix}` }
}

function inSandbox(path: string): string {
  return `/run/dhcp/${basename(path)}`
}
