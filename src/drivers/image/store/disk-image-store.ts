import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Fault, faultKind } from '#base/fault.ts'
import type { DiskImage, DiskImages, ImagePull } from '#core/ports.ts'
import { checkDisk } from '../check/check.ts'
import { plainBytesOf } from '../fetch/decompress.ts'
import { type HttpClient, nameOf } from '../fetch/http-client.ts'
import { isNoRoom, Room } from '../fetch/room.ts'
import type { UnpackedDisk } from '../registry/container-disk.ts'
import type { Mirrors } from '../registry/mirrors.ts'
import { type RemoteImage, Repository } from '../registry/registry.ts'
import { type Checksum, parseChecksum } from './checksum.ts'
import { type GetContext, getFromRegistry, getFromUrl, urlVersion } from './getter.ts'
import { ImageFiles, type StoredImage } from './image-files.ts'
import { type ReferenceEntry, References } from './references.ts'
import { type ImageSource, isImageName, parseSource } from './source.ts'
import { writeSparse } from './sparse-file.ts'
import { Workspaces } from './workspaces.ts'

export type DiskImageOptions = Readonly<{
  /** The folder of all images of a data directory. */
  root: string
  http: HttpClient
  mirrors: Mirrors
  /** Largest file of an image, bytes. */
  maxFileBytes?: number
  /** Largest disk that a guest may see, bytes. */
  maxVirtualBytes?: number
  /** Times to wait before the next try of a download, milliseconds. */
  backoffMs?: readonly number[]
}>

/** A pull with what the command line and DataVolumes have besides. */
export type DiskPull = ImagePull &
  Readonly<{
    /** Of the bytes that a URL leads to, `ALGORITHM:HEX`. */
    checksum?: string
  }>

/** An image with the references that lead to it. */
export type ListedImage = StoredImage & Readonly<{ references: readonly ReferenceEntry[] }>

const defaultMaxFileBytes = 512 * 2 ** 30
const defaultMaxVirtualBytes = 64 * 2 ** 40

/** The disk images of a data directory. Several processes may use it at once. */
export class DiskImageStore implements DiskImages {
  readonly #options: DiskImageOptions
  readonly #files: ImageFiles
  readonly #references: References
  readonly #workspaces: Workspaces
  readonly #room: Room
  /** How far the downloads of this process are, for the pulls that wait for them. */
  readonly #progress = new Map<string, readonly [done: number, total: number | undefined]>()

  constructor(options: DiskImageOptions) {
    this.#options = options
    this.#files = new ImageFiles(options.root)
    this.#references = new References(join(options.root, '.references'))
    this.#workspaces = new Workspaces(join(options.root, '.downloads'))
    this.#room = new Room(options.root)
  }

  async find(reference: string, path?: string): Promise<DiskImage | undefined> {
    const entry = (await this.#imported(reference)) ?? (await this.#references.find(parseSource(reference).text, path))
    return entry && this.#files.find(entry.digest)
  }

  async pull(pull: DiskPull, signal: AbortSignal): Promise<DiskImage> {
    const imported = await this.#imported(pull.reference)
    const image = imported && (await this.#files.find(imported.digest))
    if (image) return image
    const source = parseSource(pull.reference)
    await mkdir(this.#options.root, { recursive: true, mode: 0o755 })
    if (source.kind === 'url') return this.#pullUrl(source, pull, signal)
    if (pull.checksum !== undefined)
      throw new Fault('Invalid', `A checksum is for URLs; give ${source.text} its digest as NAME@sha256:DIGEST`)
    return this.#pullReference(source, pull, signal)
  }

  async #imported(reference: string): Promise<ReferenceEntry | undefined> {
    return isImageName(reference) ? this.#references.find(reference) : undefined
  }

  async #pullReference(
    { reference, text }: Extract<ImageSource, { kind: 'registry' }>,
    pull: DiskPull,
    signal: AbortSignal,
  ): Promise<DiskImage> {
    const { path, isAlways, credentials } = pull
    const here = await this.#hereWith(await this.#references.find(text, path))
    if (here && !isAlways) return here.image
    const repository = new Repository(this.#options.http, reference, { mirrors: this.#options.mirrors, credentials })
    const version = here?.entry.version
    if (here && version === (await repository.currentDigest(signal))) return here.image
    const remote = await repository.image(signal)
    if (here && version === remote.manifestDigest) return here.image
    const key = `${remote.platformDigest}\0${path ?? ''}`
    const entry = { reference: text, ...(path !== undefined && { path }), ...versionsOf(remote) }
    const findSame = async () =>
      (await this.#references.list()).find((one) => one.platformDigest === remote.platformDigest && one.path === path)
    return this.#getOnce(key, pull, entry, findSame, signal, (context) =>
      getFromRegistry(repository, remote, path, { ...context, what: text }),
    )
  }

  async #pullUrl(
    { url, text }: Extract<ImageSource, { kind: 'url' }>,
    pull: DiskPull,
    signal: AbortSignal,
  ): Promise<DiskImage> {
    const { isAlways, credentials } = pull
    const { http } = this.#options
    const checksum = pull.checksum === undefined ? undefined : parseChecksum(pull.checksum)
    const what = nameOf(url)
    const fits = (entry: ReferenceEntry | undefined) =>
      checksum === undefined || entry?.checksums.includes(checksumText(checksum)) ? entry : undefined
    const here = await this.#hereWith(fits(await this.#references.find(text)))
    if (here && !isAlways) return here.image
    const version = here && (await urlVersion(http, url, credentials, signal))
    if (here && version !== undefined && version === here.entry.version) return here.image
    const began = Date.now()
    // What another pull has got meanwhile is as new as what this one would get.
    const findSame = async () => {
      const entry = fits(await this.#references.find(text))
      return entry && (!isAlways || entry.time >= began) ? entry : undefined
    }
    const entry = { reference: text, checksums: checksum ? [checksumText(checksum)] : [] }
    return this.#getOnce(text, pull, entry, findSame, signal, (context) =>
      getFromUrl(http, url, { checksum, credentials }, { ...context, what }),
    )
  }

  async #hereWith(entry: ReferenceEntry | undefined) {
    const image = entry && (await this.#files.find(entry.digest))
    return entry && image ? { entry, image } : undefined
  }

  /** Gets an image unless another pull did while this one waited for its turn. */
  async #getOnce(
    key: string,
    { onProgress }: DiskPull,
    entry: Partial<ReferenceEntry> & Pick<ReferenceEntry, 'reference'>,
    findSame: () => Promise<ReferenceEntry | undefined>,
    signal: AbortSignal,
    get: (context: Omit<GetContext, 'what'>) => Promise<UnpackedDisk & Readonly<{ version?: string }>>,
  ): Promise<DiskImage> {
    const workspace = await this.#workspaces.take(key, signal, () =>
      onProgress?.(...(this.#progress.get(key) ?? [0, undefined])),
    )
    let isKept = false
    try {
      const same = await this.#hereWith(await findSame())
      if (same) {
        await this.#refer({ ...same.entry, ...entry }, same.image.digest)
        return same.image
      }
      const disk = await get({
        ...this.#limits(workspace.folder, signal),
        onProgress: (done, total) => {
          this.#progress.set(key, [done, total])
          onProgress?.(done, total)
        },
      })
      const image = await this.#take(disk, entry.reference, workspace.folder, signal)
      await this.#refer({ ...entry, ...(disk.version !== undefined && { version: disk.version }) }, image.digest)
      return image
    } catch (error) {
      isKept = mayGoOn(error, signal)
      throw error
    } finally {
      this.#progress.delete(key)
      await workspace.release(isKept)
    }
  }

  #limits(folder: string, signal: AbortSignal) {
    const { maxFileBytes = defaultMaxFileBytes, backoffMs } = this.#options
    return { folder, signal, maxBytes: maxFileBytes, room: this.#room, backoffMs }
  }

  /** Checks a file and puts it among the images. */
  async #take(disk: UnpackedDisk, source: string, scratch: string, signal: AbortSignal): Promise<DiskImage> {
    const here = await this.#files.find(disk.digest)
    if (here) return here
    const { maxVirtualBytes = defaultMaxVirtualBytes } = this.#options
    const image = { digest: disk.digest, ...(await checkDisk(disk.file, source, maxVirtualBytes, signal)) }
    await this.#files.add(disk.file, image, source, scratch)
    return image
  }

  async #refer(entry: Partial<ReferenceEntry> & Pick<ReferenceEntry, 'reference'>, digest: string): Promise<void> {
    await this.#references.write({ isImported: false, checksums: [], ...entry, digest, time: Date.now() })
  }

  /**
   * Makes a file of this host an image: qcow2 or raw, or one of them compressed. It replaces one of that name.
   * @throws Fault Invalid
   */
  async import(name: string, file: string, signal: AbortSignal): Promise<DiskImage> {
    requireName(name)
    await mkdir(this.#options.root, { recursive: true, mode: 0o755 })
    const workspace = await this.#workspaces.take(`import\0${name}`, signal)
    try {
      const { maxBytes, room } = this.#limits(workspace.folder, signal)
      const to = join(workspace.folder, 'disk')
      const { digest } = await writeSparse(to, plainBytesOf(file, file, signal), { what: file, maxBytes, room })
      const image = await this.#take({ file: to, digest }, file, workspace.folder, signal)
      await this.#refer({ reference: name, isImported: true }, digest)
      return image
    } finally {
      await workspace.release(false)
    }
  }

  /** Gives an image that is here another name. @throws Fault Invalid */
  async name(name: string, digest: string): Promise<void> {
    requireName(name)
    await this.#refer({ reference: name, isImported: true }, digest)
  }

  async list(): Promise<readonly ListedImage[]> {
    const [images, entries] = await Promise.all([this.#files.list(), this.#references.list()])
    return images.map((image) => ({ ...image, references: entries.filter(({ digest }) => digest === image.digest) }))
  }

  /**
   * Takes a reference away, and its image if nothing else refers to that. By its digest, or the begin of it, an image goes with
   * all references. Returns what was removed, for humans.
   * @throws Fault NotFound, Conflict while a sandbox has the image
   */
  async remove(text: string, isForced: boolean): Promise<string> {
    const images = await this.list()
    const byDigest = digestMatches(images, text)
    if (byDigest.length > 1)
      throw new Fault('Invalid', `${byDigest.length} images have a digest that begins with ${text}; give more of it`)
    const entries = byDigest[0]?.references ?? (await this.#entriesNamed(text))
    const image = byDigest[0] ?? images.find(({ digest }) => digest === entries[0]?.digest)
    if (!image && entries.length === 0)
      throw new Fault('NotFound', `There is no image ${text} here; patchbay image list shows those there are`)
    const isLast = image !== undefined && image.references.every((one) => entries.includes(one) || isIn(entries, one))
    if (isLast) requireUnused(image, isForced)
    for (const entry of entries) await this.#references.remove(entry)
    if (!isLast) return `${text}; its image has other names`
    await this.#removeFile(image)
    return `${text} (sha256:${image.digest})`
  }

  async #entriesNamed(text: string): Promise<readonly ReferenceEntry[]> {
    const imported = await this.#imported(text)
    if (imported) return [imported]
    const reference = parseSource(text).text
    return (await this.#references.list()).filter((one) => one.reference === reference)
  }

  async #removeFile({ digest }: StoredImage): Promise<void> {
    const workspace = await this.#workspaces.take(`remove\0${digest}`, new AbortController().signal)
    try {
      await this.#files.remove(digest, workspace.folder)
    } finally {
      await workspace.release(false)
    }
  }

  /**
   * Removes images that no sandbox has and that were not used for `olderThanMs`; without it all of them. Those with an imported
   * name, which nothing can get again, go only with `hasImported`. Returns them.
   */
  async prune(options: Readonly<{ olderThanMs: number; hasImported: boolean }>): Promise<readonly ListedImage[]> {
    await this.#workspaces.sweep()
    const isOld = ({ lastUsed }: StoredImage) => lastUsed <= Date.now() - options.olderThanMs
    const isOurs = ({ references }: ListedImage) => references.some((one) => one.isImported)
    const gone = (await this.list()).filter(
      (image) => !image.isUsed && isOld(image) && (options.hasImported || !isOurs(image)),
    )
    for (const image of gone) {
      for (const entry of image.references) await this.#references.remove(entry)
      await this.#removeFile(image)
    }
    return gone
  }

  /** Removes what downloads have left that were under way when their process ended. */
  async sweep(): Promise<void> {
    await this.#workspaces.sweep()
  }

  /** Gives a sandbox an image and returns the path of the disk there. @throws Fault NotFound */
  async provide(sandbox: string, digest: string): Promise<string> {
    return this.#files.provide(sandbox, digest)
  }
}

function versionsOf({ manifestDigest, platformDigest }: RemoteImage) {
  return { version: manifestDigest, platformDigest }
}

function checksumText({ algorithm, digest }: Checksum): string {
  return `${algorithm}:${digest}`
}

/** Whether what has arrived is kept for the next try. */
function mayGoOn(error: unknown, signal: AbortSignal): boolean {
  if (signal.aborted) return true
  const kind = faultKind(error)
  return (kind === 'Unavailable' || kind === 'Timeout') && !(error instanceof Fault && isNoRoom(error))
}

function requireName(name: string): void {
  if (!isImageName(name))
    throw new Fault(
      'Invalid',
      `${JSON.stringify(name)} is no image name; use at most 63 lower-case letters, digits, dots, dashes and underscores`,
    )
}

/** @throws Fault Conflict */
function requireUnused({ digest, isUsed }: StoredImage, isForced: boolean): void {
  if (isUsed && !isForced)
    throw new Fault(
      'Conflict',
      `Image sha256:${digest} is in use by a sandbox; stop its guest first, or remove it by --force: guests keep what they have`,
    )
}

function digestMatches(images: readonly ListedImage[], text: string): readonly ListedImage[] {
  const hex = /^(?:sha256:)?([0-9a-f]{6,64})$/.exec(text)?.[1]
  return hex === undefined ? [] : images.filter(({ digest }) => digest.startsWith(hex))
}

function isIn(entries: readonly ReferenceEntry[], one: ReferenceEntry): boolean {
  return entries.some(({ reference, path }) => reference === one.reference && path === one.path)
}
