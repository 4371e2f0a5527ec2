import { access, constants, mkdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { exists } from '#base/file.ts'
import { eventually } from '#base/wait.ts'

/** The mount point of cgroups on all distributions. */
const mounted = '/sys/fs/cgroup'

/** Most tasks of one sandbox: QEMU has a thread for each CPU of its guest and some hundreds for I/O. */
const maxTasks = 4096

/** Timeout for a cgroup to become removable after its last process has ended, milliseconds. */
const emptyMs = 10_000

type Limited = 'memory' | 'pids'

/** A cgroup hierarchy: its folder, and the files of a group that set limits. */
type Hierarchy = Readonly<{ path: string; files: Readonly<Partial<Record<Limited, string>>> }>

/**
 * The hierarchies whose root is writable: version 2 if it has the controllers, otherwise those of version 1. Groups are made
 * below the root, so that they neither share the limits of Patchbay's service nor end with it.
 */
async function hierarchies(root: string): Promise<readonly Hierarchy[]> {
  const enabled = (await readFile(join(root, 'cgroup.subtree_control'), 'utf8').catch(() => '')).trim().split(' ')
  const unified: Hierarchy = {
    path: root,
    files: {
      ...(enabled.includes('memory') && { memory: 'memory.max' }),
      ...(enabled.includes('pids') && { pids: 'pids.max' }),
    },
  }
  const all: readonly Hierarchy[] = [
    unified,
    { path: join(root, 'memory'), files: { memory: 'memory.limit_in_bytes' } },
    { path: join(root, 'pids'), files: { pids: 'pids.max' } },
  ]
  const usable = await Promise.all(
    all.map(
      async ({ path, files }) =>
        Object.keys(files).length > 0 &&
        (await exists(join(path, 'cgroup.procs'))) &&
        (await access(path, constants.W_OK).then(
          () => true,
          () => false,
        )),
    ),
  )
  return all.filter((_, i) => usable[i])
}

/** The group of a sandbox in a hierarchy, by its folder, whose name is its UID. */
function groupOf({ path }: Hierarchy, dir: string): string {
  return join(path, `patchbay-${basename(dir)}`)
}

/**
 * The memory limit of a sandbox's processes, bytes, from the limit of its pod: a quarter more and 256 MiB, so that no healthy
 * guest reaches it, even during a migration.
 */
export function sandboxMaxBytes(podBytes: number): number {
  return Math.ceil(podBytes * 1.25) + 256 * 2 ** 20
}

/**
 * Makes the cgroups of a sandbox, in which its processes are started from then on; idempotent. Resolves to the resources that
 * this host does not permit to limit.
 */
export async function ensureCgroups(dir: string, maxBytes: number, root = mounted): Promise<readonly Limited[]> {
  const limits: Readonly<Record<Limited, number>> = { memory: maxBytes, pids: maxTasks }
  const left = new Set<Limited>(['memory', 'pids'])
  for (const hierarchy of await hierarchies(root)) {
    const group = groupOf(hierarchy, dir)
    try {
      await mkdir(group, { recursive: true })
      for (const [what, file] of Object.entries(hierarchy.files) as [Limited, string][]) {
        await writeFile(join(group, file), String(limits[what]))
        left.delete(what)
      }
    } catch {
      // Reported as not limited: a host without permission runs guests nevertheless.
    }
  }
  return [...left]
}

/** A shell script that joins the cgroups of its first arguments, as far as permitted, and executes the remaining arguments. */
const joinAndRun = 'while [ "$1" != -- ]; do echo 0 > "$1"; shift; done; shift; exec "$@"'

/** The arguments of `sh` that run a program in the cgroups of a sandbox. */
export async function shellArguments(dir: string, command: readonly string[]): Promise<string[]> {
  return ['-c', joinAndRun, 'sh', ...(await cgroupDoors(dir)), '--', ...command]
}

/** The files to which a process writes 0 to join the cgroups of a sandbox. */
export async function cgroupDoors(dir: string, root = mounted): Promise<readonly string[]> {
  const doors = (await hierarchies(root)).map((one) => join(groupOf(one, dir), 'cgroup.procs'))
  const there = await Promise.all(doors.map(exists))
  return doors.filter((_, i) => there[i])
}

/** Removes the cgroups of a sandbox whose processes have ended. No cgroups are no error. */
export async function removeCgroups(dir: string, root = mounted): Promise<void> {
  for (const hierarchy of await hierarchies(root)) {
    const group = groupOf(hierarchy, dir)
    await eventually(
      `cgroup ${group} is removed`,
      () =>
        rmdir(group).then(
          () => true,
          (error: NodeJS.ErrnoException) => {
            if (error.code === 'ENOENT') return true
            // The kernel is still removing its last process.
            if (error.code === 'EBUSY') return false
            throw error
          },
        ),
      { deadlineMs: emptyMs, everyMs: 10 },
    )
  }
}
