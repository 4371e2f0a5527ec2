import { constants } from 'node:fs'
import { chmod, chown, link, mkdir, open, realpath, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join, sep } from 'node:path'
import { Fault } from '#base/fault.ts'
import { exists } from '#base/file.ts'
import { type DiskFile, type DomainDisk, disksInSandbox, fileOf } from '#core/disk/disk.ts'
import type { DomainSpec } from '#core/vm/domain.ts'
import { run } from '../host/run.ts'
import type { MadeDisk } from '../libvirt/disk-xml.ts'
import type { DomainFiles } from '../libvirt/domain-xml.ts'
import type { GuestFiles } from '../libvirt/guest-domain.ts'
import { makeFirmware, requireTpm } from './firmware.ts'
import { isoImage } from './iso.ts'

export type DiskMakerOptions = Readonly<{
  /** Folder of the disks of claims, one folder each by UID. */
  volumes: string
  /** Folders of the host whose files guests may have as disks. */
  hostFolders: readonly string[]
  /** Makes a disk image visible in a sandbox; resolves to its path there. */
  provideImage: (sandbox: string, digest: string) => Promise<string>
}>

/** The sandbox that disks are made in, and the user of its QEMU. */
type Sandbox = Readonly<{ dir: string; user: number }>

/** The file of the firmware's variables. */
const variablesFile = 'VARS.fd'

/**
 * Makes the disks of guests as files in their sandboxes. The disk of a claim and a disk of the host are hard links, so that a sandbox
 * sees its own disks only, at the same paths in each sandbox of an instance; all others are gone with the last sandbox that has them.
 */
export class DiskMaker {
  readonly #options: DiskMakerOptions

  constructor(options: DiskMakerOptions) {
    this.#options = options
  }

  /** Makes the files of a guest that is about to start; those of an earlier try are replaced. @throws Fault Invalid, Unavailable */
  async make(sandbox: Sandbox, { disks, hardware }: DomainSpec): Promise<DomainFiles> {
    const { dir, user } = sandbox
    const folder = await makeFolder(dir)
    const made = new Map<string, MadeDisk>()
    for (const disk of disks) if (disk.file) made.set(disk.name, await this.#disk(sandbox, disk, disk.file))
    if (hardware.hasTpm) await requireTpm()
    if (hardware.firmware.is !== 'efi') return { disks: made, firmware: undefined }
    const file = join(folder, variablesFile)
    const code = await makeFirmware(hardware.firmware, file)
    await give(file, user)
    return { disks: made, firmware: { code, variables: join(disksInSandbox, variablesFile) } }
  }

  /** What makes and removes the files of a sandbox's guest. */
  filesIn(sandbox: Sandbox): GuestFiles {
    const { dir } = sandbox
    return {
      makeAll: (spec) => this.make(sandbox, spec),
      make: async (disk) => {
        await makeFolder(dir)
        if (!disk.file) throw new Fault('Bug', `The disk ${disk.name} has no file`)
        return this.#disk(sandbox, disk, disk.file)
      },
      drop: async (files) => {
        for (const file of files) await rm(join(dir, disksInSandbox, file), { force: true })
      },
    }
  }

  async #disk({ dir, user }: Sandbox, disk: DomainDisk, file: DiskFile): Promise<MadeDisk> {
    const { file: name, format } = fileOf(disk)
    const path = join(dir, disksInSandbox, name)
    await rm(path, { force: true })
    const backing = await this.#content({ dir, user }, path, file)
    const cache = (await takesDirect(path)) ? 'none' : 'writethrough'
    return { path: join(disksInSandbox, name), format, cache, ...(backing && { backing }) }
  }

  /** Makes the file of a disk; resolves to what it is over, if anything. */
  async #content({ dir, user }: Sandbox, path: string, file: DiskFile): Promise<MadeDisk['backing']> {
    switch (file.is) {
      case 'overlay': {
        const backing = { path: await this.#options.provideImage(dir, file.digest), format: file.format }
        await makeQcow2(path, file.bytes, backing)
        await give(path, user)
        return backing
      }
      case 'iso':
        await writeFile(path, isoImage(file.label, file.files), { mode: 0o600, flag: 'wx' })
        await give(path, user)
        return undefined
      case 'empty':
        await makeQcow2(path, file.bytes)
        await give(path, user)
        return undefined
      case 'host':
        await this.#hostDisk(path, file, user)
        return undefined
      case 'claim':
        return this.#claim({ dir, user }, path, file)
    }
  }

  async #claim(
    { dir, user }: Sandbox,
    path: string,
    { uid, bytes, isOverlaid }: Extract<DiskFile, { is: 'claim' }>,
  ): Promise<MadeDisk['backing']> {
    const file = join(this.#options.volumes, uid, 'disk.img')
    await makeSparse(file, bytes)
    if (!isOverlaid) {
      await give(file, user)
      await link(file, path)
      return undefined
    }
    const below = `${uid}.img`
    await rm(join(dir, disksInSandbox, below), { force: true })
    await link(file, join(dir, disksInSandbox, below))
    const backing = { path: join(disksInSandbox, below), format: 'raw' as const }
    await makeQcow2(path, (await stat(file)).size, backing)
    await give(path, user)
    return backing
  }

  /** @throws Fault Invalid for a file that no guest may have */
  async #hostDisk(
    path: string,
    { path: wanted, createBytes }: Extract<DiskFile, { is: 'host' }>,
    user: number,
  ): Promise<void> {
    const { hostFolders } = this.#options
    const isAllowed = (real: string) =>
      hostFolders.some((folder) => real.startsWith(folder.endsWith(sep) ? folder : folder + sep))
    // Links are followed first: what counts is where the file is.
    const folder = await realpath(dirname(wanted)).catch(() => undefined)
    const real = (await realpath(wanted).catch(() => undefined)) ?? (folder && join(folder, wanted.split('/').at(-1)!))
    if (real === undefined || !isAllowed(real))
      throw new Fault(
        'Invalid',
        hostFolders.length
          ? `The disk ${wanted} is not in a folder that guests may have disks of; those are: ${hostFolders.join(', ')} (--host-disk-dir)`
          : `The disk ${wanted} is of the host, of which guests may have none: allow its folder with --host-disk-dir`,
      )
    if (createBytes !== undefined) await makeSparse(real, createBytes)
    const file = await stat(real).catch(() => undefined)
    if (!file?.isFile()) throw new Fault('Invalid', `The disk ${wanted} does not exist on this node, or is no file`)
    await give(real, user)
    await link(real, path).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code !== 'EXDEV') throw cause
      throw new Fault('Invalid', `The disk ${wanted} must be on the file system of the data directory`, { cause })
    })
  }
}

/** Makes the folder of disks in a sandbox. */
async function makeFolder(dir: string): Promise<string> {
  const folder = join(dir, disksInSandbox)
  await mkdir(folder, { recursive: true })
  // QEMU opens files by their names and lists none.
  await chmod(folder, 0o711)
  return folder
}

/** Makes the folder of a sandbox that is QEMU's own, for its sockets. */
export async function makeOwnFolder(dir: string, user: number): Promise<void> {
  const folder = join(dir, 'run/guest')
  await mkdir(folder, { recursive: true })
  await chown(folder, user, user)
  await chmod(folder, 0o700)
}

async function give(file: string, user: number): Promise<void> {
  await chown(file, user, user)
  await chmod(file, 0o600)
}

/** Makes an empty file of this size, unless there is one. */
async function makeSparse(file: string, bytes: number): Promise<void> {
  if (await exists(file)) return
  await mkdir(dirname(file), { recursive: true, mode: 0o711 })
  // A file that is there is whole.
  const fresh = `${file}.new`
  const handle = await open(fresh, 'w', 0o600)
  try {
    await handle.truncate(bytes)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(fresh, file)
}

/** Makes an empty qcow2 file, over another one by its path in the sandbox, which is not opened here. */
async function makeQcow2(file: string, bytes: number, backing?: MadeDisk['backing']): Promise<void> {
  const over = backing ? ['-u', '-b', backing.path, '-F', backing.format] : []
  await run('qemu-img', ['create', '-q', '-f', 'qcow2', ...over, file, String(bytes)])
}

/** Whether a file can be read and written without the host's cache: what a guest has synced is on the disk then. */
async function takesDirect(file: string): Promise<boolean> {
  try {
    const handle = await open(file, constants.O_RDONLY | constants.O_DIRECT)
    await handle.close()
    return true
  } catch {
    return false
  }
}
