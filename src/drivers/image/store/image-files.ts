import { createReadStream } from 'node:fs'
import { chmod, link, mkdir, open, readdir, rename, rm, stat, utimes } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Fault, systemCode } from '#base/fault.ts'
import { exists, readTextIfAny, writeFileAtomic } from '#base/file.ts'
import { isObject, parsedJson } from '#base/json.ts'
import type { DiskImage } from '#core/ports.ts'
import { Room } from '../files/room.ts'
import { writeSparse } from '../files/sparse-file.ts'

/** An image as it is kept. */
export type StoredImage = DiskImage &
  Readonly<{
    /** Where it came from first. */
    source: string
    /** Room that its file takes, bytes. */
    usedBytes: number
    /** When it came, milliseconds since 1970. */
    created: number
    /** When it was last given to a sandbox, or came; milliseconds since 1970. */
    lastUsed: number
    /** Whether a sandbox has it: its file has another name there. */
    isUsed: boolean
  }>

const prefix = 'sha256-'
const namePattern = /^sha256-([0-9a-f]{64})$/
const factsFile = 'facts.json'

/**
 * The files of disk images: a folder `sha256-DIGEST` each with `disk.qcow2` or `disk.raw`, which never changes, and `facts.json`,
 * whose time is that of the last use.
 */
export class ImageFiles {
  readonly #root: string

  constructor(root: string) {
    this.#root = root
  }

  async find(digest: string): Promise<StoredImage | undefined> {
    const folder = this.#folderOf(digest)
    const text = await readTextIfAny(join(folder, factsFile))
    const facts = text === undefined ? undefined : parsedJson(text)
    if (!isObject(facts)) return undefined
    const { format, virtualBytes, source, created } = facts
    if ((format !== 'qcow2' && format !== 'raw') || typeof virtualBytes !== 'number') return undefined
    try {
      const disk = await stat(join(folder, `disk.${format}`))
      const { mtimeMs } = await stat(join(folder, factsFile))
      return {
        ...{ digest, format, virtualBytes },
        source: typeof source === 'string' ? source : '',
        usedBytes: disk.blocks * 512,
        created: typeof created === 'string' ? Date.parse(created) : mtimeMs,
        lastUsed: mtimeMs,
        isUsed: disk.nlink > 1,
      }
    } catch (error) {
      // It was removed just now.
      if (systemCode(error) === 'ENOENT') return undefined
      throw error
    }
  }

  async list(): Promise<readonly StoredImage[]> {
    const names = await readdir(this.#root).catch(() => [])
    const digests = names.flatMap((name) => namePattern.exec(name)?.[1] ?? [])
    return (await Promise.all(digests.map((digest) => this.find(digest)))).filter((one) => one !== undefined)
  }

  /** Takes a checked file, which is on the disk already, from a folder on the same file system that is removed afterwards. */
  async add(file: string, image: DiskImage, source: string, scratch: string): Promise<void> {
    const { digest, format, virtualBytes } = image
    const fresh = join(scratch, 'image')
    await rm(fresh, { recursive: true, force: true })
    await mkdir(fresh, { mode: 0o755 })
    await rename(file, join(fresh, `disk.${format}`))
    const created = new Date().toISOString()
    await writeFileAtomic(
      join(fresh, factsFile),
      `${JSON.stringify({ source, format, virtualBytes, created }, null, 2)}\n`,
      0o644,
    )
    // Another download may have had the same content; what was there and is no image is replaced.
    if (await this.find(digest)) await this.touch(digest)
    else {
      await this.remove(digest, scratch)
      await rename(fresh, this.#folderOf(digest))
    }
    await syncFolder(this.#root)
  }

  /**
   * Gives a sandbox an image by a hard link, and returns its path there. Removing the image changes nothing under a guest.
   * @throws Fault NotFound
   */
  async provide(sandbox: string, digest: string): Promise<string> {
    const image = await this.find(digest)
    if (!image) throw new Fault('NotFound', `There is no disk image sha256:${digest} on this host`)
    const inside = `/run/images/${prefix}${digest}`
    const name = `disk.${image.format}`
    const to = join(sandbox, inside)
    await mkdir(to, { recursive: true, mode: 0o755 })
    const [source, target] = [join(this.#folderOf(digest), name), join(to, name)]
    if (!(await exists(target)))
      await link(source, target).catch(async (error: unknown) => {
        if (systemCode(error) === 'EEXIST') return
        if (systemCode(error) !== 'EXDEV') throw error
        await copyWhole(source, target)
      })
    await this.touch(digest)
    return join(inside, name)
  }

  /** The file of an image. @throws Fault NotFound */
  async fileOf(digest: string): Promise<string> {
    const image = await this.find(digest)
    if (!image) throw new Fault('NotFound', `There is no disk image sha256:${digest} on this host`)
    await this.touch(digest)
    return join(this.#folderOf(digest), `disk.${image.format}`)
  }

  async touch(digest: string): Promise<void> {
    const now = new Date()
    await utimes(join(this.#folderOf(digest), factsFile), now, now)
  }

  async remove(digest: string, scratch: string): Promise<void> {
    const gone = join(scratch, 'removed')
    await rm(gone, { recursive: true, force: true })
    try {
      await rename(this.#folderOf(digest), gone)
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') throw error
    }
    await rm(gone, { recursive: true, force: true })
  }

  #folderOf(digest: string): string {
    return join(this.#root, `${prefix}${digest}`)
  }
}

/** Copies a file to another file system; it has its name when it is whole. */
async function copyWhole(from: string, to: string): Promise<void> {
  const partial = `${to}.${process.pid}.part`
  try {
    const room = new Room(dirname(to))
    await writeSparse(partial, createReadStream(from, { highWaterMark: copyBytes }), { what: from, room })
    await chmod(partial, 0o444)
    await rename(partial, to)
  } finally {
    await rm(partial, { force: true })
  }
}

/** Piece in which a file is copied, bytes. */
const copyBytes = 1024 * 1024

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path)
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
