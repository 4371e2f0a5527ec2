import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Fault, systemCode } from '#base/fault.ts'
import { exists } from '#base/file.ts'
import type { DiskPull, VolumeContent, Volumes } from '#core/disk/ports.ts'
import type { DiskImage } from '#core/ports.ts'
import { Room } from '../image/files/room.ts'
import { convert } from './convert.ts'
import { discard, receive } from './receive.ts'

/** What disks of claims are made of. */
interface VolumeImages {
  pull(pull: DiskPull, signal: AbortSignal): Promise<DiskImage>
  /** The file of an image. */
  fileOf(digest: string): Promise<string>
}

const uidPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

type How = Parameters<Volumes['populate']>[3]

/** How much of the work it is to get an image; the rest is to copy it. */
const pullPart = 0.5

/** The disks of claims: a folder each by UID, with the raw file `disk.img`, which has this name only when it is whole. */
export class HostVolumes implements Volumes {
  readonly #root: string
  readonly #images: VolumeImages

  constructor(root: string, images: VolumeImages) {
    this.#root = root
    this.#images = images
  }

  has(uid: string): Promise<boolean> {
    return exists(this.#diskOf(uid))
  }

  async populate(uid: string, bytes: number, content: VolumeContent, how: How): Promise<void> {
    if (await this.has(uid)) return
    const folder = join(this.#root, uid)
    await mkdir(folder, { recursive: true, mode: 0o711 })
    const fresh = join(folder, 'disk.img.new')
    // A program of a killed process may still write what it has open.
    await rm(fresh, { force: true })
    await discard(folder)
    try {
      await this.#fill(fresh, bytes, content, how)
      await finish(fresh, bytes)
      await rename(fresh, this.#diskOf(uid))
      await syncFolder(folder)
    } finally {
      await rm(fresh, { force: true })
      await discard(folder)
    }
  }

  async #fill(file: string, bytes: number, content: VolumeContent, { onProgress, signal }: How): Promise<void> {
    switch (content.is) {
      case 'blank':
        return makeEmpty(file, bytes)
      case 'image': {
        const onPull = (done: number, total: number | undefined) => {
          if (total) onProgress(Math.min(1, done / total) * pullPart)
        }
        const { digest, format, virtualBytes } = await this.#images.pull(
          { ...content.pull, onProgress: onPull },
          signal,
        )
        requireFit(virtualBytes, bytes)
        const from = await this.#images.fileOf(digest)
        await this.#requireRoom(from)
        await makeEmpty(file, virtualBytes)
        return convert({
          ...{
            from: { file: from, format },
            to: file,
            what: content.pull.reference,
            signal,
          },
          onProgress: (part) => onProgress(pullPart + part * (1 - pullPart)),
        })
      }
      case 'upload': {
        const room = new Room(this.#root)
        const { file: from, ...image } = await receive(content.upload, dirname(file), {
          ...{ diskBytes: bytes, room, signal },
          onProgress: (part) => onProgress(part * pullPart),
        })
        requireFit(image.virtualBytes, bytes)
        await this.#requireRoom(from)
        await makeEmpty(file, image.virtualBytes)
        return convert({
          ...{ from: { file: from, format: image.format }, to: file, what: 'The uploaded image', signal },
          onProgress: (part) => onProgress(pullPart + part * (1 - pullPart)),
        })
      }
      case 'clone': {
        requireFit(content.fromBytes, bytes)
        await makeEmpty(file, content.fromBytes)
        const source = this.#diskOf(content.from)
        if (!(await exists(source))) return
        await this.#requireRoom(source)
        return convert({
          ...{ from: { file: source, format: 'raw' }, to: file, what: `The disk of claim ${content.from}` },
          ...{ onProgress, signal },
        })
      }
    }
  }

  /** A copy takes about as much room as the file does. @throws Fault Unavailable */
  async #requireRoom(file: string): Promise<void> {
    const { blocks } = await stat(file)
    await new Room(this.#root).ensure(blocks * 512)
  }

  async discard(uid: string): Promise<void> {
    await discard(join(this.#root, uid))
  }

  async list(): Promise<readonly string[]> {
    const names = await readdir(this.#root).catch((error: unknown) => {
      if (systemCode(error) === 'ENOENT') return []
      throw error
    })
    return names.filter((name) => uidPattern.test(name))
  }

  async remove(uid: string): Promise<void> {
    await rm(join(this.#root, uid), { recursive: true, force: true })
  }

  #diskOf(uid: string): string {
    return join(this.#root, uid, 'disk.img')
  }
}

/** In the words of CDI. @throws Fault Invalid */
function requireFit(wanted: number, available: number): void {
  if (wanted > available)
    throw new Fault(
      'Invalid',
      `virtual image size ${wanted} is larger than the reported available storage ${available}. A larger PVC is required`,
    )
}

async function makeEmpty(file: string, bytes: number): Promise<void> {
  await using handle = await open(file, 'wx', 0o600)
  await handle.truncate(bytes)
}

/** Gives a file its size, and sees to it that it is on the disk. */
async function finish(file: string, bytes: number): Promise<void> {
  await using handle = await open(file, 'r+')
  await handle.truncate(bytes)
  await handle.chown(0, 0).catch(() => undefined)
  await handle.sync()
}

async function syncFolder(path: string): Promise<void> {
  await using folder = await open(path)
  await folder.sync()
}
