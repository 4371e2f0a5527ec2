import { readdir, readlink, stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { exists } from '#base/file.ts'
import { run } from './run.ts'

const folder = '/run/netns'

/** Name of a sandbox's network namespace. */
export function netnsName(uid: string): string {
  return `pb-${uid}`
}

/** Path of a named network namespace. */
export function netnsPath(name: string): string {
  return `${folder}/${name}`
}

/**
 * Makes a named network namespace with its loopback up; idempotent. The namespace of the process `holder`, or without one a
 * namespace for which `isOurs` is true, is kept. Any other one of that name loses the name, and nothing else is done to it.
 * Resolves to the inode number of the namespace.
 */
export async function ensureNetns(
  name: string,
  { holder, isOurs }: Readonly<{ holder?: number | undefined; isOurs: (inode: number) => boolean }>,
  signal: AbortSignal,
): Promise<number> {
  const there = await findNetns(name)
  const held = holder === undefined ? undefined : (await stat(`/proc/${holder}/ns/net`)).ino
  if (there === undefined || (held === undefined ? !isOurs(there) : held !== there)) {
    if (await exists(netnsPath(name))) await run('ip', ['netns', 'delete', name], { signal })
    if (holder === undefined) await run('ip', ['netns', 'add', name], { signal })
    else await run('ip', ['netns', 'attach', name, String(holder)], { signal })
  }
  await run('ip', ['-n', name, 'link', 'set', 'lo', 'up'], { signal })
  return (await stat(netnsPath(name))).ino
}

/** The inode number of a named namespace; undefined when there is none, and for the host's own. */
export async function findNetns(name: string): Promise<number | undefined> {
  const [there, own, first] = await Promise.all(
    [netnsPath(name), '/proc/self/ns/net', '/proc/1/ns/net'].map((path) => stat(path).catch(() => undefined)),
  )
  // A file on another file system was left by a crash between its creation and its mount.
  if (!there || there.dev !== own?.dev || there.ino === own.ino || there.ino === first?.ino) return undefined
  return there.ino
}

/** Removes a named network namespace, and its content unless a process still uses it. */
export async function removeNetns(name: string, signal: AbortSignal): Promise<void> {
  if (await exists(netnsPath(name))) await run('ip', ['netns', 'delete', name], { signal })
}

/** The programs that Patchbay starts in sandboxes. Other processes in the namespace are never killed. */
const ours = /^(libvirtd|dnsmasq|qemu-system-.*)( \(deleted\))?$/

/**
 * Patchbay's processes in a named network namespace; none when it is the host's own or has another inode number than the known
 * one.
 */
export async function processesIn(name: string, inode?: number): Promise<number[]> {
  const wanted = await findNetns(name)
  if (wanted === undefined || (inode !== undefined && wanted !== inode)) return []
  const pids = (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry))
  const found = await Promise.all(
    pids.map(async (pid) => {
      // A process may end during the scan; then it is ignored.
      const there = await stat(`/proc/${pid}/ns/net`).catch(() => undefined)
      if (there?.ino !== wanted) return undefined
      const program = await readlink(`/proc/${pid}/exe`).catch(() => '')
      return ours.test(basename(program)) ? Number(pid) : undefined
    }),
  )
  return found.filter((pid) => pid !== undefined)
}
