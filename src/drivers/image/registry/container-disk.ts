import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Fault } from '#base/fault.ts'
import { plainBytesOf } from '../files/decompress.ts'
import type { Room } from '../files/room.ts'
import { SparseFile } from '../files/sparse-file.ts'
import type { Blob } from './manifest.ts'
import { readTar, type Sink, type TarEntry } from './tar.ts'

/** A disk that was unpacked: its file, and SHA-256 of its content. */
export type UnpackedDisk = Readonly<{ file: string; digest: string }>

type UnpackOptions = Readonly<{
  /** The image, for humans. */
  what: string
  /** The disk's file in the image; its only file below /disk when absent. */
  path?: string | undefined
  /** A file for the disk. */
  to: string
  maxBytes: number
  room: Room
  signal: AbortSignal
}>

/** The folder that KubeVirt looks into. */
const diskFolder = 'disk'

/** How a layer says that a file or a folder of the layers below is gone, and that of a folder nothing of them is left. */
const whiteout = '.wh.'
const opaque = '.wh..wh..opq'

/**
 * Finds the disk in the layers of an image, lowest first, and unpacks it. `fetchLayer` gets a layer and returns its file, which is
 * removed afterwards. The highest layers are looked at first, and the ones below a disk at a known path not at all.
 * @throws Fault Invalid with KubeVirt's words
 */
export async function unpackDisk(
  layers: readonly Blob[],
  fetchLayer: (blob: Blob) => Promise<string>,
  options: UnpackOptions,
): Promise<UnpackedDisk> {
  const search = new Search(options)
  for (const blob of layers.toReversed()) {
    const file = await fetchLayer(blob)
    await search.lookInto(file)
    await rm(file)
    if (search.isOver) break
  }
  return search.result()
}

/** A path in an image without the slash in front. @throws Fault Invalid */
function wantedPath(path: string): string {
  const parts = path.split('/').filter((part) => part !== '' && part !== '.')
  if (parts.length === 0 || parts.includes('..'))
    throw new Fault(
      'Invalid',
      `${JSON.stringify(path)} is no path of a file in an image; write it like /disk/image.qcow2`,
    )
  return parts.join('/')
}

class Search {
  readonly #options: UnpackOptions
  readonly #wanted: string | undefined
  /** What higher layers have put in the place of things below, or taken away; and folders they have emptied. */
  readonly #hidden = new Set<string>()
  readonly #emptied = new Set<string>()
  /** Where the disk was found. */
  #found: Readonly<{ path: string; isFile: boolean }> | undefined
  #file: SparseFile | undefined
  #disk: UnpackedDisk | undefined

  constructor(options: UnpackOptions) {
    this.#options = options
    this.#wanted = options.path === undefined ? undefined : wantedPath(options.path)
  }

  /** Whether lower layers can change nothing. */
  get isOver(): boolean {
    return this.#wanted !== undefined && (this.#found !== undefined || this.#isHidden(this.#wanted))
  }

  async lookInto(file: string): Promise<void> {
    const { what, signal } = this.#options
    const marks: string[] = []
    try {
      await readTar(this.#limited(plainBytesOf(file, what, signal)), what, async (entry) => {
        await this.#finishFile()
        const sink = await this.#visit(entry)
        if (entry.path === this.#found?.path || entry.path.includes(whiteout)) marks.push(entry.path)
        return sink
      })
      await this.#finishFile()
    } finally {
      await this.#file?.close()
    }
    // They hide what is in lower layers only.
    for (const path of marks) this.#mark(path)
  }

  /** Content that is passed over costs time as well. */
  async *#limited(bytes: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    const { what, maxBytes } = this.#options
    let length = 0
    for await (const chunk of bytes) {
      length += chunk.length
      if (length > maxBytes)
        throw new Fault('Invalid', `A layer of ${what} is larger than ${maxBytes} bytes when unpacked`)
      yield chunk
    }
  }

  async #visit({ path, isFile }: TarEntry): Promise<Sink | undefined> {
    const name = path.slice(path.lastIndexOf('/') + 1)
    const disk = this.#diskAt(path)
    if (disk === undefined || name.startsWith(whiteout) || this.#isHidden(disk)) return undefined
    if (this.#found && this.#found.path !== disk)
      throw this.#refusal(`more than one file found in folder /${diskFolder}, only one disk is allowed`)
    this.#found = { path: disk, isFile: isFile && path === disk }
    this.#disk = undefined
    if (!this.#found.isFile) return undefined
    const { to, what, maxBytes, room } = this.#options
    this.#file = await SparseFile.create(to, what, maxBytes, room)
    return this.#file
  }

  /** The path of the disk that an entry is, or is a part of if that is a folder. */
  #diskAt(path: string): string | undefined {
    if (this.#wanted !== undefined) return path === this.#wanted ? path : undefined
    const [folder, child] = path.split('/')
    return folder === diskFolder && child !== undefined ? join(folder, child) : undefined
  }

  async #finishFile(): Promise<void> {
    const file = this.#file
    if (!file) return
    const { digest } = await file.finish()
    this.#file = undefined
    this.#disk = { file: this.#options.to, digest }
  }

  #isHidden(path: string): boolean {
    const parts = path.split('/')
    const ancestors = parts.map((_, i) => parts.slice(0, i + 1).join('/'))
    return ancestors.some((one) => this.#hidden.has(one) || (one !== path && this.#emptied.has(one)))
  }

  #mark(path: string): void {
    const slash = path.lastIndexOf('/') + 1
    const [folder, name] = [path.slice(0, slash), path.slice(slash)]
    if (name === opaque) this.#emptied.add(folder.replace(/\/$/, ''))
    else if (name.startsWith(whiteout)) this.#hidden.add(folder + name.slice(whiteout.length))
    else this.#hidden.add(path)
  }

  result(): UnpackedDisk {
    if (!this.#found)
      throw this.#refusal(
        this.#wanted === undefined
          ? `no file found in folder /${diskFolder}, no disk present`
          : `no file found at /${this.#wanted}, no disk present`,
      )
    if (!this.#disk) throw this.#refusal(`/${this.#found.path} is no plain file`)
    return this.#disk
  }

  #refusal(why: string): Fault {
    return new Fault('Invalid', `${this.#options.what} has no usable disk: ${why}`)
  }
}
