import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { chmod, chown, mkdir, open, readFile, rm, symlink } from 'node:fs/promises'
import { connect } from 'node:net'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Fault } from '#base/fault.ts'
import { exists, writeFileAtomic } from '#base/file.ts'
import type { Log } from '#base/log.ts'
import { eventually } from '#base/wait.ts'
import { driverDir, groupFile, libvirtdConf, passwdFile, qemuConf, qemuUid } from './config.ts'
import { findProcess, isInSandbox, type ProcessIdentity, signalProcess } from './process.ts'

/**
 * What a sandbox's libvirtd needs.
 *
 * Inside, `dir/run` is /run, `dir/var` is /var, `dir/etc` is /etc/libvirt. Everything else below the host's /run and
 * /var is out of its sight: what a domain refers to has to be below `dir/run` or outside both.
 */
export type DaemonOptions = Readonly<{
  /** Short: unix socket paths below it must stay within 107 characters. */
  dir: string
  /** The network namespace, as a path: `/run/netns/name`. */
  netns: string
  log: Log
  /** Whether QEMU may use /dev/kvm. */
  kvm?: boolean
  /** Where a guest is to come from: that sandbox's `dir`, and the name of the folder where both meet. */
  incoming?: Exchange
  signal?: AbortSignal
}>

const script = fileURLToPath(new URL('daemon.sh', import.meta.url))

const daemonPaths = ['/usr/sbin/libvirtd', '/usr/bin/libvirtd']
const driverPaths = [
  '/usr/lib/x86_64-linux-gnu/libvirt/connection-driver/libvirt_driver_qemu.so',
  '/usr/lib/aarch64-linux-gnu/libvirt/connection-driver/libvirt_driver_qemu.so',
  '/usr/lib64/libvirt/connection-driver/libvirt_driver_qemu.so',
  '/usr/lib/libvirt/connection-driver/libvirt_driver_qemu.so',
]

/** What stands for /run, /etc/libvirt and /var. QEMU keeps temporary files in the last one. */
const folders: readonly (readonly [string, number])[] = [
  ...['run', 'etc', 'etc/drivers', 'etc/dev', 'var', 'var/lib', 'var/lib/libvirt'].map(
    (path) => [path, 0o755] as const,
  ),
  ...['var/cache', 'var/cache/libvirt', 'var/log', 'var/log/libvirt'].map((path) => [path, 0o755] as const),
  ['var/tmp', 0o1777],
]

/** Only a machine that is out of memory or disk needs longer than a few of these. */
const startTimeoutMs = 30_000
const stopTimeoutMs = 10_000
const pollMs = 10

/** A folder of one sandbox (`dir`) that another one sees under the same name while a guest moves from one to the other. */
export type Exchange = Readonly<{ dir: string; name: string }>

/** Where exchanges are, in every sandbox. */
export const exchangesInSandbox = '/run/migration'

/** Where an exchange is on the host. */
export function exchangePath({ dir, name }: Exchange): string {
  return join(dir, exchangesInSandbox, name)
}

/** Makes an exchange; only QEMU, which makes a socket there, and we get in. */
export async function makeExchange(exchange: Exchange): Promise<void> {
  const path = exchangePath(exchange)
  await mkdir(path, { recursive: true })
  await chmod(dirname(path), 0o755)
  await chown(path, qemuUid, qemuUid)
  await chmod(path, 0o700)
}

/** Where the libvirtd of a sandbox listens. */
export function socketPath(dir: string): string {
  return join(dir, 'run/libvirt/libvirt-sock')
}

/**
 * Starts the libvirtd of a sandbox and waits until it answers. Done twice is done once. It has a session of its own and
 * outlives this process; a new one over the same directory finds the guests of the old one.
 * @throws Fault Unavailable when it cannot start, with the end of its output as the cause.
 */
export async function startDaemon(options: DaemonOptions): Promise<ProcessIdentity> {
  const { dir, log, signal } = options
  const running = await findDaemon(dir)
  if (running && (await isAnswering(dir))) return running
  if (!running) {
    await prepare(options)
    log.info({ dir }, 'Starting libvirtd')
  }
  const child = running ? undefined : await launch(options)
  const ready = async () => {
    if (child && child.exitCode !== null) throw await startFailure(dir, child.exitCode)
    return (await isAnswering(dir)) && (await findDaemon(dir))
  }
  try {
    return await eventuallyUnlessFault(`libvirtd of ${dir} answers`, ready, signal)
  } finally {
    child?.unref()
  }
}

/** The libvirtd that runs in this sandbox. Recognised by what it sees as /run, so never a stranger with a recycled pid. */
export async function findDaemon(dir: string): Promise<ProcessIdentity | undefined> {
  const text = await readFile(join(dir, 'run/libvirtd.pid'), 'utf8').catch(() => '')
  const pid = Number.parseInt(text, 10)
  if (!(pid > 0) || !(await isInSandbox(pid, dir))) return undefined
  const command = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')
  return command.trim() === 'libvirtd' ? findProcess(pid) : undefined
}

/** Stops the libvirtd of a sandbox, and not its guests. Nothing to stop is fine. */
export async function stopDaemon(dir: string): Promise<void> {
  const daemon = await findDaemon(dir)
  if (!daemon) return
  const isGone = async () => (await findProcess(daemon.pid))?.startTime !== daemon.startTime
  await signalProcess(daemon, 'SIGTERM')
  try {
    await eventually(`libvirtd of ${dir} ends`, isGone, { deadlineMs: stopTimeoutMs, everyMs: pollMs })
  } catch {
    // It is told again, in a way it cannot ignore.
    await signalProcess(daemon, 'SIGKILL')
    await eventually(`libvirtd of ${dir} is killed`, isGone, { deadlineMs: stopTimeoutMs, everyMs: pollMs })
  }
}

async function prepare({ dir }: DaemonOptions): Promise<void> {
  for (const [folder, mode] of folders) {
    await mkdir(join(dir, folder), { recursive: true })
    // Whatever the umask: QEMU, which is not root, has to get through.
    await chmod(join(dir, folder), mode)
  }
  const etc = (name: string) => join(dir, 'etc', name)
  await writeFileAtomic(etc('libvirtd.conf'), libvirtdConf({ hostUuid: await hostUuid(dir) }), 0o644)
  await writeFileAtomic(etc('qemu.conf'), qemuConf(), 0o644)
  await writeFileAtomic(etc('passwd'), passwdFile(), 0o644)
  await writeFileAtomic(etc('group'), groupFile(), 0o644)
  await writeFileAtomic(etc('no-kvm'), '', 0o000)
  const link = join(etc('drivers'), 'libvirt_driver_qemu.so')
  await rm(link, { force: true })
  await symlink(await firstOf(driverPaths, 'libvirt-daemon-driver-qemu'), link)
}

/** Kept for the life of the sandbox: libvirt remembers it in the state of running guests. */
async function hostUuid(dir: string): Promise<string> {
  const path = join(dir, 'etc/host-uuid')
  const known = await readFile(path, 'utf8').catch(() => '')
  if (known) return known.trim()
  const made = randomUUID()
  await writeFileAtomic(path, `${made}\n`, 0o644)
  return made
}

async function firstOf(paths: readonly string[], debianPackage: string): Promise<string> {
  for (const path of paths) if (await exists(path)) return path
  throw new Fault('Unavailable', `None of ${paths.join(', ')} exists; install ${debianPackage}`)
}

async function launch({ dir, netns, kvm, incoming }: DaemonOptions): Promise<ChildProcess> {
  const libvirtd = await firstOf(daemonPaths, 'libvirt-daemon')
  const output = await open(outputPath(dir), 'w', 0o600)
  try {
    const inNetns = [`--net=${netns}`, 'unshare', '--mount', '--propagation', 'private']
    const exchange = await exchangeArguments(dir, incoming)
    const child = spawn('nsenter', [...inNetns, 'sh', script, dir, libvirtd, kvm ? 'yes' : 'no', ...exchange], {
      cwd: '/',
      // The daemon's environment reaches QEMU's log and has no business with ours.
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/', LIBVIRT_DRIVER_DIR: driverDir },
      stdio: ['ignore', output.fd, output.fd],
      detached: true,
    })
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve)
      child.once('error', (cause) => reject(new Fault('Unavailable', 'nsenter cannot be started', { cause })))
    })
    return child
  } finally {
    await output.close()
  }
}

/** The folder to be seen and where; nothing when the other sandbox is gone, for then nobody comes from there any more. */
async function exchangeArguments(dir: string, incoming: Exchange | undefined): Promise<string[]> {
  if (!incoming || !(await exists(join(incoming.dir, 'run')))) return []
  await makeExchange(incoming)
  const here = { dir, name: incoming.name }
  await makeExchange(here)
  return [exchangePath(incoming), exchangePath(here)]
}

function outputPath(dir: string): string {
  return join(dir, 'var/log/libvirt/daemon.out')
}

async function startFailure(dir: string, status: number): Promise<Fault> {
  const read = (path: string) => readFile(path, 'utf8').catch(() => '')
  const output = (await read(outputPath(dir))) || (await read(join(dir, 'var/log/libvirt/libvirtd.log')))
  const cause = new Error(output.trim().split('\n').slice(-5).join('\n') || 'it said nothing')
  return new Fault('Unavailable', `libvirtd of ${dir} ended with status ${status} instead of starting`, { cause })
}

/** `eventually` tries again after an error; the daemon's end is final. */
async function eventuallyUnlessFault<T>(
  what: string,
  probe: () => Promise<T | undefined | false>,
  signal: AbortSignal | undefined,
): Promise<T> {
  const outcome = await eventually(
    what,
    () =>
      probe().then(
        (value) => value && { value },
        (fault: unknown) => ({ fault }),
      ),
    { deadlineMs: startTimeoutMs, everyMs: pollMs, ...(signal && { signal }) },
  )
  if ('fault' in outcome) throw outcome.fault
  return outcome.value
}

function isAnswering(dir: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath(dir))
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
