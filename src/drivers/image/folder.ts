import { constants, createWriteStream, watch } from 'node:fs'
import { copyFile, type FileHandle, link, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { Fault } from '#base/fault.ts'
import { exists } from '#base/file.ts'
import type { Log } from '#base/log.ts'
import type { Images } from '#core/ports.ts'
import { buildDemoGuest } from './demo-guest.ts'

const namePattern = /^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/
/** What an image must contain. */
const required = 'vmlinuz'

/** An image for kernelBoot. */
type KernelImage = Readonly<{ name: string; bytes: number; time: number; isUsed: boolean }>

/** The images of a data directory: one folder each, complete or absent. */
export class ImageFolder implements Images {
  readonly #root: string

  constructor(root: string) {
    this.#root = root
  }

  async has(name: string): Promise<boolean> {
    return namePattern.test(name) && exists(join(this.#root, name, required))
  }

  /**
   * Imports a folder with `vmlinuz` and, usually, `initrd.img` as an image; replaces one of that name atomically.
   * @throws Fault Invalid for a bad name or folder
   */
  async import(name: string, from: string): Promise<void> {
    if (!namePattern.test(name))
      throw new Fault(
        'Invalid',
        `${JSON.stringify(name)} is no image name; use at most 63 lower-case letters, digits, dots, dashes and underscores`,
      )
    if (!(await exists(join(from, required))))
      throw new Fault('Invalid', `${from} has no ${required}; an image is a folder with vmlinuz and initrd.img`)
    const fresh = join(this.#root, `.${name}.${process.pid}.new`)
    const old = join(this.#root, `.${name}.${process.pid}.old`)
    await mkdir(fresh, { recursive: true, mode: 0o755 })
    try {
      for (const file of await filesOf(from)) await copyPlain(join(from, file), join(fresh, file))
      if (await exists(join(this.#root, name))) await rename(join(this.#root, name), old)
      await rename(fresh, join(this.#root, name))
    } finally {
      await rm(fresh, { recursive: true, force: true })
      await rm(old, { recursive: true, force: true })
    }
  }

  /**
   * Gives a sandbox an image by hard links: no copy where links work, and replacing the image changes nothing under a
   * running guest.
   */
  async provide(sandbox: string, name: string): Promise<void> {
    const to = join(sandbox, 'run/images', name)
    await rm(to, { recursive: true, force: true })
    await mkdir(to, { recursive: true, mode: 0o755 })
    for (const file of await readdir(join(this.#root, name)))
      await link(join(this.#root, name, file), join(to, file)).catch((error: NodeJS.ErrnoException) => {
        // Sandboxes may be on a file system of their own.
        if (error.code !== 'EXDEV') throw error
        return copyFile(join(this.#root, name, file), join(to, file))
      })
  }

  /** All complete images, with the room they take, bytes, and when they were made, milliseconds since 1970. */
  async list(): Promise<readonly KernelImage[]> {
    const names = await readdir(this.#root).catch(() => [])
    const images: KernelImage[] = []
    for (const name of names) if (await this.has(name)) images.push(await this.#look(name))
    return images
  }

  async #look(name: string): Promise<KernelImage> {
    const folder = join(this.#root, name)
    const files = await Promise.all((await readdir(folder)).map((file) => stat(join(folder, file))))
    const bytes = files.reduce((sum, { blocks }) => sum + blocks * 512, 0)
    return { name, bytes, time: (await stat(folder)).mtimeMs, isUsed: files.some(({ nlink }) => nlink > 1) }
  }

  /** Removes an image. @throws Fault Conflict while a sandbox has it, unless forced */
  async remove(name: string, isForced: boolean): Promise<void> {
    if (!isForced && (await this.#look(name)).isUsed)
      throw new Fault(
        'Conflict',
        `Image ${name} is in use by a sandbox; stop its guest first, or remove it by --force: guests keep what they have`,
      )
    const gone = join(this.#root, `.${name}.${process.pid}.old`)
    await rename(join(this.#root, name), gone)
    await rm(gone, { recursive: true, force: true })
  }

  /** Calls back whenever an image is added or removed, until the signal aborts. */
  async onChange(listener: () => void, signal: AbortSignal): Promise<void> {
    await mkdir(this.#root, { recursive: true, mode: 0o755 })
    watch(this.#root, { signal, persistent: false }, () => listener())
  }
}

/** The files of a folder to import; subfolders are skipped. @throws Fault Invalid naming links and special files */
async function filesOf(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true })
  const odd = entries.filter((one) => !one.isFile() && !one.isDirectory()).map(({ name }) => name)
  if (odd.length)
    throw new Fault(
      'Invalid',
      `${folder} has links or special files (${odd.join(', ')}), which could lead out of it; put copies of the files there`,
    )
  return entries.filter((one) => one.isFile()).map(({ name }) => name)
}

/** Copies a file, but never a link, even one that replaced it just now. @throws Fault Invalid */
async function copyPlain(from: string, to: string): Promise<void> {
  let source: FileHandle
  try {
    source = await open(from, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (cause) {
    throw new Fault('Invalid', `${from} cannot be read as a plain file`, { cause })
  }
  try {
    if (!(await source.stat()).isFile()) throw new Fault('Invalid', `${from} is no plain file`)
    // QEMU reads them without privileges.
    await pipeline(source.createReadStream({ autoClose: false }), createWriteStream(to, { flags: 'wx', mode: 0o644 }))
  } finally {
    await source.close()
  }
}

/** Builds the image `demo-guest` from Debian packages; `images` and `cache` are folders of a data directory. */
export async function buildDemoImage(dir: Readonly<{ images: string; cache: string }>, log: Log): Promise<void> {
  const folder = join(dir.cache, 'demo-guest')
  await buildDemoGuest(folder, log)
  await new ImageFolder(dir.images).import('demo-guest', folder)
}
