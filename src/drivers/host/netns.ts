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

/** Makes a named network namespace with its loopback up. Done twice is done once. */
export async function ensureNetns(name: string, signal: AbortSignal): Promise<void> {
  if (await exists(netnsPath(name))) {
    // A file that is no namespace is what a crash between its creation and its mount leaves behind.
    const [file, root] = await Promise.all([stat(netnsPath(name)), stat('/proc/self/ns/net')])
    if (file.dev === root.dev)
      return run('ip', ['-n', name, 'link', 'set', 'lo', 'up'], { signal }).then(() => undefined)
    await run('ip', ['netns', 'delete', name], { signal })
  }
  await run('ip', ['netns', 'add', name], { signal })
  await run('ip', ['-n', name, 'link', 'set', 'lo', 'up'], { signal })
}

/** Removes a named network namespace; everything in it that is not held by a process goes with it. */
export async function removeNetns(name: string, signal: AbortSignal): Promise<void> {
  if (await exists(netnsPath(name))) await run('ip', ['netns', 'delete', name], { signal })
}

/** The programs we start in sandboxes. Others in the same namespace (a tester's ping) are not ours to end. */
const ours = /^(libvirtd|dnsmasq|qemu-system-.*)( \(deleted\))?$/

/** Processes of ours in a named network namespace. */
export async function processesIn(name: string): Promise<number[]> {
  const wanted = await stat(netnsPath(name)).catch(() => undefined)
  if (!wanted) return []
  const pids = (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry))
  const found = await Promise.all(
    pids.map(async (pid) => {
      // A process may end while it is looked at; then it is none of ours any more.
      const there = await stat(`/proc/${pid}/ns/net`).catch(() => undefined)
      if (there?.ino !== wanted.ino) return undefined
      const program = await readlink(`/proc/${pid}/exe`).catch(() => '')
      return ours.test(basename(program)) ? Number(pid) : undefined
    }),
  )
  return found.filter((pid) => pid !== undefined)
}
