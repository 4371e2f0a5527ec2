import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { explain, Fault } from '#base/fault.ts'
import { run } from '../run.ts'

/** A sandbox: its UID, the user of its guest, and its first process, whose /dev its guest has; undefined when that has ended. */
export type DevicePlace = Readonly<{ uid: string; user: number; init: number | undefined }>

/** Time that making a device file may take, milliseconds. */
const nodeMs = 10_000

/** The device files of VFIO in sandboxes: each has those of its own groups only (facts/sriov.md §A2.5). */
export interface VfioNodes {
  /** Lets the guest of a sandbox open a group. @throws Fault Unavailable */
  make(place: DevicePlace, group: number): Promise<void>
  /** Takes the files of all other groups away. */
  keep(place: DevicePlace, groups: readonly number[]): Promise<void>
}

/** Those of this host. */
export const hostNodes: VfioNodes = {
  async make(place, group) {
    const folder = folderOf(place)
    if (folder === undefined) throw new Fault('Unavailable', 'The sandbox has no processes')
    try {
      for (const name of ['vfio', String(group)]) await makeNode(`/dev/vfio/${name}`, join(folder, name), place.user)
    } catch (cause) {
      throw new Fault('Unavailable', `Cannot let the guest open its device: ${explain(cause)}`, { cause })
    }
  },
  async keep(place, groups) {
    const folder = folderOf(place)
    if (folder === undefined) return
    const own = new Set(['vfio', ...groups.map(String)])
    for (const name of await readdir(folder).catch(() => []))
      if (!own.has(name)) await rm(join(folder, name), { force: true })
  },
}

/** The folder of a sandbox's VFIO devices, as this process sees it. */
function folderOf({ init }: DevicePlace): string | undefined {
  return init === undefined ? undefined : `/proc/${init}/root/dev/vfio`
}

/** Makes a device file like another one for a user. */
async function makeNode(of: string, path: string, user: number): Promise<void> {
  const wanted = await stat(of)
  const now = await stat(path).catch(() => undefined)
  if (now?.rdev === wanted.rdev && now.uid === user) return
  const signal = AbortSignal.timeout(nodeMs)
  await rm(path, { force: true })
  const { major, minor } = numbersOf(wanted.rdev)
  await run('mknod', ['-m', '0600', path, 'c', String(major), String(minor)], { signal })
  await run('chown', [`${user}:${user}`, path], { signal })
}

/** The numbers of a device file as Linux packs them (gnu_dev_makedev). */
function numbersOf(rdev: number): Readonly<{ major: number; minor: number }> {
  return { major: (rdev >> 8) & 0xfff, minor: (rdev & 0xff) | ((rdev >> 12) & 0xfff00) }
}
