import { access, constants, mkdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { exists } from '#base/file.ts'
import { eventually } from '#base/wait.ts'

/** Where the kernel shows cgroups, by convention of all distributions. */
const mounted = '/sys/fs/cgroup'

/** Most tasks of one sandbox: QEMU has a thread per CPU of its guest and some hundreds for its disk and network. */
const maxTasks = 4096

/** How long cgroups may stay busy after the last process of theirs has ended, milliseconds. */
const emptyMs = 10_000

type Limited = 'memory' | 'pids'

/** A hierarchy that can hold a sandbox: its folder, and what is limited by which file of a group in it. */
type Hierarchy = Readonly<{ path: string; files: Readonly<Partial<Record<Limited, string>>> }>

/**
 * The hierarchies whose top is ours to write. Version 2 where it has the controllers; else those of version 1. Groups are made
 * at the top, so that they neither share the limits of the service Patchbay is nor end with it.
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
 * What a sandbox's processes together may take, from the memory its pod is limited to: a quarter more and 256 MiB, so that no
 * healthy guest comes near it, also while it moves. It is there for those that are not healthy.
 */
export function sandboxMaxBytes(podBytes: number): number {
  return Math.ceil(podBytes * 1.25) + 256 * 2 ** 20
}

/**
 * Gives a sandbox cgroups of its own, which its processes are started in from then on. Done twice is done once. Resolves to
 * what is not limited, as this host does not let us.
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
      // Told by what is left: a host that forbids it runs guests nevertheless.
    }
  }
  return [...left]
}

/** Has a shell join the cgroups whose files come first, as far as it can, and become the program that comes then. */
const joinAndRun = 'while [ "$1" != -- ]; do echo 0 > "$1"; shift; done; shift; exec "$@"'

/** What a shell (`sh`) is started with, to run a program in the cgroups of a sandbox. */
export async function shellArguments(dir: string, command: readonly string[]): Promise<string[]> {
  return ['-c', joinAndRun, 'sh', ...(await cgroupDoors(dir)), '--', ...command]
}

/** The files through which a process joins the cgroups of a sandbox, by writing 0. */
export async function cgroupDoors(dir: string, root = mounted): Promise<readonly string[]> {
  const doors = (await hierarchies(root)).map((one) => join(groupOf(one, dir), 'cgroup.procs'))
  const there = await Promise.all(doors.map(exists))
  return doors.filter((_, i) => there[i])
}

/** Removes the cgroups of a sandbox whose processes have ended. None is fine. */
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
            // Its last process is being buried.
            if (error.code === 'EBUSY') return false
            throw error
          },
        ),
      { deadlineMs: emptyMs, everyMs: 10 },
    )
  }
}
