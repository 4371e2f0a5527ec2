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
import { shellArguments } from './cgroup.ts'
import { driverDir, groupFile, libvirtdConf, passwdFile, qemuConf } from './config.ts'
import { findProcess, findProgram, innerPid, isInSandbox, type ProcessIdentity, signalProcess } from './process.ts'

/**
 * Options of a sandbox's libvirtd.
 *
 * Inside, `dir/run` is /run, `dir/var` is /var, `dir/etc` is /etc/libvirt, and /usr is the host's, read-only. Nothing else of the
 * host is visible to it: files of a domain have to be below `dir/run`.
 */
export type DaemonOptions = Readonly<{
  /** Short: unix socket paths below it must stay within 107 characters. */
  dir: string
  /** The network namespace, as a path: `/run/netns/name`. */
  netns: string
  log: Log
  /** The user of QEMU, the same number on the host; no other guest has it. */
  user: number
  /** Whether QEMU may use /dev/kvm. */
  kvm?: boolean
  /** For a migration's target: the folder of migration sockets in the source's sandbox. */
  incoming?: MigrationSocketDir
  signal?: AbortSignal
}>

const script = fileURLToPath(new URL('sandbox.sh', import.meta.url))

const daemonPaths = ['/usr/sbin/libvirtd', '/usr/bin/libvirtd']
const driverPaths = [
  '/usr/lib/x86_64-linux-gnu/libvirt/connection-driver/libvirt_driver_qemu.so',
  '/usr/lib/aarch64-linux-gnu/libvirt/connection-driver/libvirt_driver_qemu.so',
  '/usr/lib64/libvirt/connection-driver/libvirt_driver_qemu.so',
  '/usr/lib/libvirt/connection-driver/libvirt_driver_qemu.so',
]

/** The folders that are mounted as /run, /etc/libvirt and /var. QEMU keeps temporary files in the last one. */
const folders: readonly (readonly [string, number])[] = [
  ...['run', 'etc', 'etc/drivers', 'var', 'var/lib', 'var/lib/libvirt'].map((path) => [path, 0o755] as const),
  ...['var/cache', 'var/cache/libvirt', 'var/log', 'var/log/libvirt'].map((path) => [path, 0o755] as const),
  ['var/tmp', 0o1777],
]

/** Timeouts and the interval of polls, milliseconds. Starting takes longer only on a host without free memory or disk space. */
const startTimeoutMs = 30_000
const stopTimeoutMs = 10_000
const pollMs = 10

/** A folder of a migration's source (`dir` is its sandbox) that the target's sandbox mounts under the same name. */
export type MigrationSocketDir = Readonly<{ dir: string; name: string }>

/** The parent of these folders, in every sandbox. */
export const migrationSocketDirs = '/run/migration'

/** The path of such a folder on the host. */
export function migrationSocketPath({ dir, name }: MigrationSocketDir): string {
  return join(dir, migrationSocketDirs, name)
}

/** The subfolder that belongs to QEMU, which makes its socket there. */
export const qemuSocketDir = 'qemu'

/**
 * Makes a folder of migration sockets. It is owned by root, so that no QEMU can replace the socket where libvirtd looks for its
 * peer's; QEMU has a subfolder of its own.
 */
export async function makeMigrationSocketDir(migrationSocketDir: MigrationSocketDir, user: number): Promise<void> {
  const path = migrationSocketPath(migrationSocketDir)
  const own = join(path, qemuSocketDir)
  await mkdir(path, { recursive: true })
  await chmod(dirname(path), 0o755)
  await chown(path, 0, user)
  await chmod(path, 0o710)
  await mkdir(own, { recursive: true })
  await chown(own, user, user)
  await chmod(own, 0o700)
}

/** The socket of a sandbox's libvirtd. */
export function socketPath(dir: string): string {
  return join(dir, 'run/libvirt/libvirt-sock')
}

/**
 * Starts the libvirtd of a sandbox and waits until it answers; idempotent. It has a session of its own and outlives this process;
 * a new one over the same directory finds the guests of the old one.
 * @throws Fault Unavailable when it cannot start, with the end of its output as the cause.
 */
export async function startDaemon(options: DaemonOptions): Promise<ProcessIdentity> {
  const { dir, log, signal } = options
  const running = await findDaemon(dir)
  if (running && (await isAnswering(dir))) return running
  if (!running) log.info({ dir }, 'Starting libvirtd')
  // One that is dying has no name any more and may still listen: it must not be taken for the new one.
  if (!running) await rm(socketPath(dir), { force: true })
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

/**
 * The libvirtd that runs in this sandbox. It is recognized by its /run, so a process with a reused pid is never mistaken for it.
 */
export async function findDaemon(dir: string): Promise<ProcessIdentity | undefined> {
  // Without a pid file it was never started, and a scan of all processes is not needed.
  if (!(await exists(join(dir, 'run/libvirtd.pid')))) return undefined
  return (await findProgram(dir, (name) => name === 'libvirtd'))[0]
}

/** The first process of a sandbox, which holds its namespaces; undefined when there is none. */
export async function findInit(dir: string): Promise<ProcessIdentity | undefined> {
  if (!(await exists(initFile(dir)))) return undefined
  const pid = Number(await readFile(initFile(dir), 'utf8'))
  if (!(await isInSandbox(pid, dir)) || (await innerPid(pid)) !== 1) return undefined
  return findProcess(pid)
}

/** The file that records the first process of a sandbox; not visible in the sandbox. */
function initFile(dir: string): string {
  return join(dir, 'init.pid')
}

/**
 * Makes the namespaces of a sandbox, its file system and the process that holds both; idempotent.
 * @throws Fault Unavailable when it cannot, with the end of its output as the cause.
 */
export async function ensureInit(options: DaemonOptions): Promise<ProcessIdentity> {
  const { dir, netns, user, kvm, incoming, signal } = options
  const known = await findInit(dir)
  if (known) return known
  await prepare(options)
  const socketDirs = await migrationSocketArguments(dir, user, incoming)
  const child = await spawnDetached(dir, [
    `--net=${netns}`,
    ...['unshare', '--mount', '--propagation', 'private', '--pid', '--fork'],
    ...['sh', script, dir, String(user), kvm ? 'yes' : 'no', ...socketDirs],
  ])
  const ready = async () => {
    if (child.exitCode !== null) throw await startFailure(dir, child.exitCode)
    const pid = await onlyChildOf(child.pid!)
    if (pid === undefined || !(await isInSandbox(pid, dir)) || (await exists(`/proc/${pid}/root/old`))) return undefined
    return findProcess(pid)
  }
  const init = await eventuallyUnlessFault(`the namespaces of ${dir} are made`, ready, signal)
  child.unref()
  await writeFileAtomic(initFile(dir), `${init.pid}\n`)
  return init
}

async function onlyChildOf(pid: number): Promise<number | undefined> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '')
  return Number.parseInt(children, 10) || undefined
}

/** Stops the libvirtd of a sandbox, but not its guest. None is no error. */
export async function stopDaemon(dir: string): Promise<void> {
  const daemon = await findDaemon(dir)
  if (!daemon) return
  const isGone = async () => (await findProcess(daemon.pid))?.startTime !== daemon.startTime
  await signalProcess(daemon, 'SIGTERM')
  try {
    await eventually(`libvirtd of ${dir} ends`, isGone, { deadlineMs: stopTimeoutMs, everyMs: pollMs })
  } catch {
    // It is killed if it does not end.
    await signalProcess(daemon, 'SIGKILL')
    await eventually(`libvirtd of ${dir} is killed`, isGone, { deadlineMs: stopTimeoutMs, everyMs: pollMs })
  }
}

async function prepare({ dir, user }: DaemonOptions): Promise<void> {
  for (const [folder, mode] of folders) {
    await mkdir(join(dir, folder), { recursive: true })
    // The mode is set regardless of the umask: QEMU, which is not root, needs access.
    await chmod(join(dir, folder), mode)
  }
  // The authority of emulated TPMs, which the guest's user makes.
  await mkdir(join(dir, 'var/lib/swtpm-localca'), { recursive: true, mode: 0o700 })
  await chown(join(dir, 'var/lib/swtpm-localca'), user, user)
  const etc = (name: string) => join(dir, 'etc', name)
  await writeFileAtomic(etc('libvirtd.conf'), libvirtdConf({ hostUuid: await hostUuid(dir) }), 0o644)
  await writeFileAtomic(etc('qemu.conf'), qemuConf(), 0o644)
  await writeFileAtomic(etc('passwd'), passwdFile(user), 0o644)
  await writeFileAtomic(etc('group'), groupFile(user), 0o644)
  const link = join(etc('drivers'), 'libvirt_driver_qemu.so')
  await rm(link, { force: true })
  await symlink(await firstOf(driverPaths, 'libvirt-daemon-driver-qemu'), link)
}

/** The host UUID, which never changes: libvirt stores it in the state of running guests. */
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

async function launch(options: DaemonOptions): Promise<ChildProcess> {
  const libvirtd = await firstOf(daemonPaths, 'libvirt-daemon')
  const { pid } = await ensureInit(options)
  const files = ['--config', '/etc/libvirt/libvirtd.conf', '--pid-file', '/run/libvirtd.pid']
  return spawnDetached(options.dir, [
    '--target',
    String(pid),
    '--mount',
    '--root',
    '--wd',
    '--pid',
    '--net',
    libvirtd,
    ...files,
  ])
}

/** Runs a program in namespaces and in the cgroups of the sandbox, in a session of its own. */
async function spawnDetached(dir: string, args: readonly string[]): Promise<ChildProcess> {
  const output = await open(outputPath(dir), 'w', 0o600)
  try {
    const child = spawn('sh', await shellArguments(dir, ['nsenter', ...args]), {
      cwd: '/',
      // The daemon's environment is written into QEMU's log, so it must not contain Patchbay's.
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

/**
 * Source and mount point of the folder of migration sockets; nothing when the other sandbox is gone, since then no guest arrives.
 */
async function migrationSocketArguments(
  dir: string,
  user: number,
  incoming: MigrationSocketDir | undefined,
): Promise<string[]> {
  if (!incoming || !(await exists(join(incoming.dir, 'run')))) return []
  await makeMigrationSocketDir(incoming, user)
  const here = { dir, name: incoming.name }
  await makeMigrationSocketDir(here, user)
  return [migrationSocketPath(incoming), migrationSocketPath(here)]
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

/** Like `eventually`, but a Fault is final: the daemon has ended. */
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
