import { readdir, readFile, readlink } from 'node:fs/promises'
import { readTextIfAny } from '#base/file.ts'
import { findProcess, type ProcessIdentity } from '#drivers/libvirt/daemon/process.ts'
import type { DataDir } from './data-dir.ts'

/**
 * The server of a data directory: the process that has the directory's store open and locked, or the lock beside it. A stored pid proves nothing:
 * its process may be gone and the pid reused.
 */
export async function findServer(dir: DataDir): Promise<ProcessIdentity | undefined> {
  const noted = Number((await readTextIfAny(dir.pid))?.trim())
  for (const pid of new Set([...(await lockers()), ...(noted > 0 ? [noted] : [])])) {
    // Its start time first: everything read afterwards then belongs to the same process.
    const identity = await findProcess(pid)
    if (identity && (await isServer(pid)) && ((await hasOpen(pid, dir.store)) || (await hasOpen(pid, dir.lock))))
      return identity
  }
  return undefined
}

/** Every process that holds a lock of the kind SQLite takes. */
async function lockers(): Promise<number[]> {
  const locks = await readFile('/proc/locks', 'utf8')
  return [...locks.matchAll(/ POSIX +ADVISORY +WRITE +(\d+) /g)].map(([, pid]) => Number(pid))
}

async function isServer(pid: number): Promise<boolean> {
  const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
  return command.includes('patchbay') && command.split('\0').includes('up')
}

/** Whether a process has a file open, even one deleted meanwhile. */
async function hasOpen(pid: number, path: string): Promise<boolean> {
  // A process that has ended, or is another user's, counts as having nothing open.
  const files = await readdir(`/proc/${pid}/fd`).catch(() => [])
  const links = await Promise.all(files.map((file) => readlink(`/proc/${pid}/fd/${file}`).catch(() => '')))
  return links.some((link) => link === path || link === `${path} (deleted)`)
}
