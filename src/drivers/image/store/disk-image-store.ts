import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Fault, faultKind } from '#base/fault.ts'
import type { DiskPull } from '#core/disk/ports.ts'
import type { DiskImage, DiskImages } from '#core/ports.ts'
import { checkDisk } from '../check/check.ts'
import { type HttpClient, nameOf } from '../fetch/http-client.ts'
import { plainBytesOf } from '../files/decompress.ts'
import { isNoRoom, Room } from '../files/room.ts'
import { writeSparse } from '../files/sparse-file.ts'
import type { UnpackedDisk } from '../registry/container-disk.ts'
import { basic, credentialFor } from '../registry/credentials.ts'
import type { Mirrors } from '../registry/mirrors.ts'
import { Repository } from '../registry/registry.ts'
import { parseChecksum } from './checksum.ts'
import { type GetContext, getFromRegistry, getFromUrl, urlVersion } from './getter.ts'
import { ImageInventory } from './inventory.ts'
import type { ReferenceEntry } from './references.ts'
import { type ImageSource, isImageName, parseSource } from './source.ts'

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

const defaultMaxFileBytes = 512 * 2 ** 30
const defaultMaxVirtualBytes = 64 * 2 ** 40

/** A reference with what is known of it before its image is here. */
type Referring = Pick<ReferenceEntry, 'reference'> & Partial<ReferenceEntry>

/** How an image is got by one pull at a time. */
type Getting = Readonly<{
  /** Pulls with the same key wait for each other. */
  key: string
  referring: Referring
  /** What another pull has got that is the same. */
  findSame: () => Promise<ReferenceEntry | undefined>
  get: (context: Omit<GetContext, 'what'>) => Promise<UnpackedDisk & Readonly<{ version?: string }>>
}>

/** The disk images of a data directory. Several processes may use it at once. */
export class DiskImageStore implements DiskImages {
  readonly #options: DiskImageOptions
  readonly #inventory: ImageInventory
  readonly #room: Room
  /** How far the downloads of this process are, for the pulls that wait for them. */
  readonly #progress = new Map<string, readonly [done: number, total: number | undefined]>()

  constructor(options: DiskImageOptions) {
    this.#options = options
    this.#inventory = new ImageInventory(options.root)
    this.#room = new Room(options.root)
  }

  async find(reference: string, path?: string): Promise<DiskImage | undefined> {
    const named = await this.#inventory.named(reference)
    const text = named ? undefined : tryParse(reference)?.text
    const entry = named ?? (text === undefined ? undefined : await this.#inventory.references.find(text, path))
    return (await this.#here(entry))?.image
  }

  async pull(pull: DiskPull, signal: AbortSignal): Promise<DiskImage> {
    const image = await this.#pull(pull, signal)
    // What was used just now is not removed, so that there is time to use it.
    await this.#inventory.files.touch(image.digest)
    return image
  }

  async #pull(pull: DiskPull, signal: AbortSignal): Promise<DiskImage> {
    const imported = await this.#here(await this.#inventory.named(pull.reference))
    if (imported) return imported.image
    const source = parseSource(pull.reference)
    if (source.kind === 'url') return this.#pullUrl(source, pull, signal)
    if (pull.checksum !== undefined)
      throw new Fault('Invalid', `A checksum is for URLs; give ${source.text} its digest as NAME@sha256:DIGEST`)
    return this.#pullReference(source, pull, signal)
  }

  async #pullReference(
    { reference, text }: Extract<ImageSource, { kind: 'registry' }>,
    pull: DiskPull,
    signal: AbortSignal,
  ): Promise<DiskImage> {
    const { path, isAlways, access } = pull
    const { references } = this.#inventory
    const here = await this.#here(await references.find(text, path, access?.scope))
    if (here && !isAlways) return here.image
    const credentials = access?.login ? new Map([[reference.host, access.login]]) : pull.credentials
    const repository = new Repository(this.#clientFor(pull), reference, { mirrors: this.#options.mirrors, credentials })
    const known = here?.entry.version
    if (here && known !== undefined && known === (await repository.currentDigest(signal))) return here.image
    const remote = await repository.image(signal)
    const { manifestDigest: version, platformDigest } = remote
    if (here && known === version) return here.image
    return this.#getOnce(pull, signal, {
      key: `${platformDigest}\0${path ?? ''}`,
      referring: { reference: text, path, scope: access?.scope, version, platformDigest },
      findSame: async () =>
        (await references.list()).find((one) => one.platformDigest === platformDigest && one.path === path),
      get: (context) => getFromRegistry(repository, remote, path, { ...context, what: text }),
    })
  }

  async #pullUrl(
    { url, text }: Extract<ImageSource, { kind: 'url' }>,
    pull: DiskPull,
    signal: AbortSignal,
  ): Promise<DiskImage> {
    const { isAlways, access } = pull
    const http = this.#clientFor(pull)
    const ownHeaders = headersFor(url, pull)
    const began = Date.now()
    const checksum = pull.checksum === undefined ? undefined : parseChecksum(pull.checksum)
    const sum = checksum && `${checksum.algorithm}:${checksum.digest}`
    const fitting = async () => {
      const entry = await this.#inventory.references.find(text, undefined, access?.scope)
      return sum === undefined || entry?.checksums.includes(sum) ? entry : undefined
    }
    const here = await this.#here(await fitting())
    if (here && !isAlways) return here.image
    const version = here && (await urlVersion(http, url, ownHeaders, signal))
    if (here && version !== undefined && version === here.entry.version) return here.image
    return this.#getOnce(pull, signal, {
      key: access ? `${text}\0${access.scope}` : text,
      referring: { reference: text, scope: access?.scope, checksums: sum === undefined ? [] : [sum] },
      findSame: async () => {
        // What another pull has got meanwhile is as new as what this one would get.
        const entry = await fitting()
        return entry && (!isAlways || entry.time >= began) ? entry : undefined
      },
      get: (context) => getFromUrl(http, url, { checksum, ownHeaders }, { ...context, what: nameOf(url) }),
    })
  }

  #clientFor({ access }: DiskPull): HttpClient {
    const { http } = this.#options
    return access?.ca === undefined ? http : http.trusting(access.ca)
  }

  /** An entry with its image, if that is here. */
  async #here(entry: ReferenceEntry | undefined) {
    const found = entry && (await this.#inventory.files.find(entry.digest))
    if (!entry || !found) return undefined
    const { digest, format, virtualBytes } = found
    return { entry, image: { digest, format, virtualBytes } satisfies DiskImage }
  }

  /** Gets an image, unless another pull did while this one waited for its turn. */
  async #getOnce({ onProgress }: DiskPull, signal: AbortSignal, getting: Getting): Promise<DiskImage> {
    const { key, referring, findSame, get } = getting
    await mkdir(this.#options.root, { recursive: true, mode: 0o755 })
    const onWait = () => onProgress?.(...(this.#progress.get(key) ?? [0, undefined]))
    const workspace = await this.#inventory.workspaces.take(key, signal, onWait)
    let isKept = false
    try {
      const same = await this.#here(await findSame())
      if (same) {
        await this.#refer({ ...same.entry, ...referring }, same.image.digest)
        return same.image
      }
      const disk = await get({
        ...this.#contextIn(workspace.folder, signal),
        onProgress: (done, total) => {
          this.#progress.set(key, [done, total])
          onProgress?.(done, total)
        },
      })
      const image = await this.#take(disk, referring.reference, workspace.folder, signal)
      await this.#refer({ ...referring, ...(disk.version !== undefined && { version: disk.version }) }, image.digest)
      return image
    } catch (error) {
      isKept = mayGoOn(error, signal)
      throw error
    } finally {
      this.#progress.delete(key)
      await workspace.release(isKept)
    }
  }

  #contextIn(folder: string, signal: AbortSignal) {
    const { maxFileBytes = defaultMaxFileBytes, backoffMs } = this.#options
    return { folder, signal, maxBytes: maxFileBytes, room: this.#room, backoffMs }
  }

  /** Checks a file and puts it among the images. */
  async #take(disk: UnpackedDisk, source: string, scratch: string, signal: AbortSignal): Promise<DiskImage> {
    const { files } = this.#inventory
    const { maxVirtualBytes = defaultMaxVirtualBytes } = this.#options
    const image = { digest: disk.digest, ...(await checkDisk(disk.file, source, maxVirtualBytes, signal)) }
    await files.add(disk.file, image, source, scratch)
    return image
  }

  async #refer(referring: Referring, digest: string): Promise<void> {
    const entry = { isImported: false, checksums: [], ...referring, digest, time: Date.now() }
    await this.#inventory.references.write(entry)
  }

  /**
   * Makes a file of this host an image: qcow2 or raw, or one of them compressed. It replaces one of that name.
   * @throws Fault Invalid, Unavailable
   */
  async import(name: string, file: string, signal: AbortSignal): Promise<DiskImage> {
    requireName(name)
    await mkdir(this.#options.root, { recursive: true, mode: 0o755 })
    const workspace = await this.#inventory.workspaces.take(`import\0${name}`, signal)
    try {
      const { maxBytes, room } = this.#contextIn(workspace.folder, signal)
      const to = join(workspace.folder, 'disk')
      const { digest } = await writeSparse(to, plainBytesOf(file, file, signal), { what: file, maxBytes, room })
      const image = await this.#take({ file: to, digest }, file, workspace.folder, signal)
      await this.#refer({ reference: name, isImported: true }, digest)
      return image
    } finally {
      await workspace.release(false)
    }
  }

  /** Gives an image that is here another name, as if it had been imported. @throws Fault Invalid */
  async name(name: string, digest: string): Promise<void> {
    requireName(name)
    await this.#refer({ reference: name, isImported: true }, digest)
  }

  /** Removes what downloads have left that were under way when their process ended. */
  async sweep(): Promise<void> {
    await this.#inventory.workspaces.sweep()
  }

  /** The file of an image, to be opened at once. @throws Fault NotFound */
  async fileOf(digest: string): Promise<string> {
    return this.#inventory.files.fileOf(digest)
  }

  /** Gives a sandbox an image and returns the path of the disk there. @throws Fault NotFound */
  async provide(sandbox: string, digest: string): Promise<string> {
    return this.#inventory.files.provide(sandbox, digest)
  }
}

/** What is shown to the server of a URL alone. */
function headersFor(url: URL, { access, credentials }: DiskPull): Readonly<Record<string, string>> {
  const login = access?.login ?? credentialFor(credentials, url.host)
  return { ...(login && { authorization: basic(login) }), ...access?.headers }
}

/** A text that is no reference has no image here; to pull it says what is wrong with it. */
function tryParse(reference: string): ImageSource | undefined {
  try {
    return parseSource(reference)
  } catch (error) {
    if (error instanceof Fault && error.kind === 'Invalid') return undefined
    throw error
  }
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
