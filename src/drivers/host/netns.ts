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
 * Makes a named network namespace with its loopback up; a process that is in it already (`holder`) is the proof of which it is,
 * else `isOurs` is asked. Done twice is done once. Resolves to the kernel's number of it. What is there under that name and is
 * no namespace of ours loses the name: nobody enters it, and nothing else happens to it.
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

/** The kernel's number of a named namespace; undefined when there is none, and for one of the host itself. */
export async function findNetns(name: string): Promise<number | undefined> {
  const [there, own, first] = await Promise.all(
    [netnsPath(name), '/proc/self/ns/net', '/proc/1/ns/net'].map((path) => stat(path).catch(() => undefined)),
  )
  // A file on another file system is what a crash between its creation and its mount leaves behind.
  if (!there || there.dev !== own?.dev || there.ino === own.ino || there.ino === first?.ino) return undefined
  return there.ino
}

/** Removes a named network namespace; everything in it that is not held by a process goes with it. */
export async function removeNetns(name: string, signal: AbortSignal): Promise<void> {
  if (await exists(netnsPath(name))) await run('ip', ['netns', 'delete', name], { signal })
}

/** The programs we start in sandboxes. Others in the same namespace (a tester's ping) are not ours to end. */
const ours = /^(libvirtd|dnsmasq|qemu-system-.*)( \(deleted\))?$/

/** Processes of ours in a named network namespace, if that is one of ours: the one of that number where it is known. */
export async function processesIn(name: string, inode?: number): Promise<number[]> {
  const wanted = await findNetns(name)
  if (wanted === undefined || (inode !== undefined && wanted !== inode)) return []
  const pids = (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry))
  const found = await Promise.all(
    pids.map(async (pid) => {
      // A process may end while it is looked at; then it is none of ours any more.
      const there = await stat(`/proc/${pid}/ns/net`).catch(() => undefined)
      if (there?.ino !== wanted) return undefined
      const program = await readlink(`/proc/${pid}/exe`).catch(() => '')
      return ours.test(basename(program)) ? Number(pid) : undefined
    }),
  )
  return found.filter((pid) => pid !== undefined)
}
