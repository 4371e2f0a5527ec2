import { link, mkdir, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { eventually } from '#base/wait.ts'
import { disksInSandbox } from '#core/disk/disk.ts'
import type { MigrationOptions } from '#core/ports.ts'
import { makeOwnFolder } from '../disk/maker.ts'
import {
  type MigrationSocketDir,
  makeMigrationSocketDir,
  migrationSocketDirs,
  migrationSocketPath,
  qemuSocketDir,
  socketPath,
} from '../libvirt/daemon/daemon.ts'
import { findProcess, findProgram, type ProcessIdentity, signalProcess } from '../libvirt/daemon/process.ts'
import { migrateFlags, powerFlags } from '../libvirt/rpc/flags.ts'
import type { Libvirt } from '../libvirt/rpc/libvirt.ts'
import type { Domain } from '../libvirt/rpc/procedures.ts'

/** Timeout for the processes of a killed guest to end, milliseconds. */
const killMs = 10_000

/**
 * Links the images from which another sandbox's guest was booted into a sandbox: the same files, even if the images were replaced
 * since.
 */
export async function shareImages(from: string, to: string): Promise<void> {
  const images = await readdir(join(from, 'run/images')).catch(() => [])
  for (const image of images) {
    const [source, target] = [join(from, 'run/images', image), join(to, 'run/images', image)]
    await rm(target, { recursive: true, force: true })
    await mkdir(target, { recursive: true, mode: 0o755 })
    for (const file of await readdir(source)) await link(join(source, file), join(target, file))
  }
}

/**
 * Makes what a guest finds in its sandbox: a folder for its sockets and, if it comes from another sandbox, its images and disks.
 */
export async function bringFiles(from: string | undefined, to: Readonly<{ dir: string; user: number }>): Promise<void> {
  if (from !== undefined) await shareImages(from, to.dir)
  if (from !== undefined) await shareDisks(from, to.dir)
  await makeOwnFolder(to.dir, to.user)
}

/**
 * Links the disks of another sandbox's guest into a sandbox: both QEMUs have the same files open while a guest moves, and locks
 * of QEMU see to it that only one of them writes.
 */
async function shareDisks(from: string, to: string): Promise<void> {
  const [source, target] = [join(from, disksInSandbox), join(to, disksInSandbox)]
  const names = await readdir(source).catch(() => [])
  if (names.length) await mkdir(target, { recursive: true, mode: 0o711 })
  for (const name of names) {
    const isSame = async () => (await stat(join(source, name))).ino === (await stat(join(target, name))).ino
    // QEMU may be opening it.
    if (await isSame().catch(() => false)) continue
    await rm(join(target, name), { force: true })
    await link(join(source, name), join(target, name))
  }
}

/**
 * Migrates the guest of a libvirtd to the sandbox `to`. Both use a folder of the source (migrationSocketDir): it contains a hard
 * link to the socket of the target's libvirtd, and the socket of the target's QEMU. The guest arrives stopped.
 * @throws Fault of libvirt
 */
export async function migrateGuest(
  source: Readonly<{ libvirt: Libvirt; guest: Domain; migrationSocketDir: MigrationSocketDir; user: number }>,
  to: string,
  { bandwidthMiBs, maxDowntimeMs, isAutoConverging }: MigrationOptions,
): Promise<void> {
  const { libvirt, guest, migrationSocketDir, user } = source
  await makeMigrationSocketDir(migrationSocketDir, user)
  const socket = join(migrationSocketPath(migrationSocketDir), 'libvirt-sock')
  await rm(socket, { force: true })
  // The guest may have got disks since the target was made.
  await shareDisks(source.migrationSocketDir.dir, to)
  await link(socketPath(to), socket)
  await libvirt.setMaxDowntime(guest, maxDowntimeMs)
  const place = join(migrationSocketDirs, migrationSocketDir.name)
  await libvirt.migrate(guest, {
    destination: `qemu+unix:///system?socket=${place}/libvirt-sock`,
    migrateUri: `unix://${place}/${qemuSocketDir}/qemu.sock`,
    // libvirt takes files for unsafe that two hosts see; here they are the same.
    flags:
      migrateFlags.paused |
      migrateFlags.abortOnError |
      migrateFlags.unsafe |
      (isAutoConverging ? migrateFlags.autoConverge : 0),
    ...(bandwidthMiBs !== undefined && { bandwidthMiBs }),
  })
}

/** Requests the guest of a libvirtd to shut down and waits until it has. @throws Fault Timeout when it has not in `graceMs` */
export async function shutDown(libvirt: Libvirt, graceMs: number, signal: AbortSignal): Promise<void> {
  const [domain] = await libvirt.listDomains(0, { signal })
  if (!domain) return
  await libvirt.shutdown(domain, powerFlags.acpi | powerFlags.agent, { signal })
  await eventually(
    `guest ${domain.name} shuts down`,
    async () => (await libvirt.listDomains(0, { signal })).length === 0,
    { deadlineMs: graceMs, everyMs: 100, signal },
  )
}

/** The QEMU processes of a sandbox. */
export function guestProcesses(dir: string): Promise<readonly ProcessIdentity[]> {
  return findProgram(dir, (name) => name.startsWith('qemu-system'))
}

/**
 * Kills the guest of a sandbox and resolves when none of its processes is left. All processes of the host are scanned only before
 * and after, not while these end: a host may have thousands, and a scan is synchronous work.
 */
export async function killGuestProcesses(dir: string): Promise<void> {
  for (let left = await guestProcesses(dir); left.length; left = await guestProcesses(dir)) {
    for (const one of left) await signalProcess(one, 'SIGKILL')
    const areGone = async () => (await Promise.all(left.map(isGone))).every(Boolean)
    await eventually('the processes of a guest end', areGone, { deadlineMs: killMs, everyMs: 1 })
  }
}

async function isGone({ pid, startTime }: ProcessIdentity): Promise<boolean> {
  return (await findProcess(pid))?.startTime !== startTime
}
