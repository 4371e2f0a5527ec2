import { join } from 'node:path'
import { Fault } from '#base/fault.ts'
import { ImageFiles, type StoredImage } from './image-files.ts'
import { type ReferenceEntry, References } from './references.ts'
import { isImageName, parseSource } from './source.ts'
import { Workspaces } from './workspaces.ts'

/** An image with the references that lead to it. */
export type ListedImage = StoredImage & Readonly<{ references: readonly ReferenceEntry[] }>

/** What there is of disk images in a data directory, and what takes it away again. Several processes may use it at once. */
export class ImageInventory {
  readonly files: ImageFiles
  readonly references: References
  readonly workspaces: Workspaces

  /** `root` is the folder of all images of a data directory. */
  constructor(root: string) {
    this.files = new ImageFiles(root)
    this.references = new References(join(root, '.references'))
    this.workspaces = new Workspaces(join(root, '.downloads'))
  }

  /** The entry of an imported name; undefined for every other text. */
  async named(name: string): Promise<ReferenceEntry | undefined> {
    return isImageName(name) ? this.references.find(name) : undefined
  }

  async list(): Promise<readonly ListedImage[]> {
    const [images, entries] = await Promise.all([this.files.list(), this.references.list()])
    return images.map((image) => ({ ...image, references: entries.filter(({ digest }) => digest === image.digest) }))
  }

  /**
   * Removes a name or a reference, and its image if nothing else refers to that; or an image with all references, by its digest or
   * the begin of that. Returns what was removed, for humans.
   * @throws Fault NotFound, Conflict while a sandbox has the image, unless forced
   */
  async remove(text: string, isForced: boolean): Promise<string> {
    const images = await this.list()
    const named = await this.named(text)
    const image = named ? undefined : imageOf(images, text)
    const entries = named ? [named] : (image?.references ?? (await this.#entriesOf(text)))
    const [entry] = entries
    const gone = image ?? images.find(({ digest }) => digest === entry?.digest)
    if (!gone && !entry)
      throw new Fault('NotFound', `There is no image ${text} here; patchbay image list shows those there are`)
    const others = gone?.references.filter((one) => !entries.some((mine) => isSame(mine, one))) ?? []
    if (gone && others.length === 0) requireUnused(gone, isForced)
    for (const one of entries) await this.references.remove(one)
    if (!gone) return text
    if (others.length > 0) return `${text}; its image is ${others.map(({ reference }) => reference).join(', ')} as well`
    await this.#removeFile(gone)
    return `${text} (sha256:${gone.digest})`
  }

  async #entriesOf(text: string): Promise<readonly ReferenceEntry[]> {
    const reference = parseSource(text).text
    return (await this.references.list()).filter((one) => one.reference === reference)
  }

  async #removeFile({ digest }: StoredImage): Promise<void> {
    const workspace = await this.workspaces.take(`remove\0${digest}`, new AbortController().signal)
    try {
      await this.files.remove(digest, workspace.folder)
    } finally {
      await workspace.release(false)
    }
  }

  /** Removes an image with its references, unless a sandbox has it now; resolves to whether it is gone. */
  async removeUnused(digest: string): Promise<boolean> {
    const image = (await this.list()).find((one) => one.digest === digest)
    if (!image) return true
    if (image.isUsed) return false
    await this.#removeWhole(image)
    return true
  }

  async #removeWhole(image: ListedImage): Promise<void> {
    for (const entry of image.references) await this.references.remove(entry)
    await this.#removeFile(image)
  }

  /**
   * Removes images that no sandbox has and that were not used for `olderThanMs`, and what downloads have left. Images with an
   * imported name, which nothing can get again, go only with `hasImported`. Returns what it removed.
   */
  async prune(options: Readonly<{ olderThanMs: number; hasImported: boolean }>): Promise<readonly ListedImage[]> {
    await this.workspaces.sweep()
    const isOld = ({ lastUsed }: StoredImage) => lastUsed <= Date.now() - options.olderThanMs
    const isOurs = ({ references }: ListedImage) => references.some((one) => one.isImported)
    const gone = (await this.list()).filter(
      (image) => !image.isUsed && isOld(image) && (options.hasImported || !isOurs(image)),
    )
    for (const image of gone) await this.#removeWhole(image)
    return gone
  }
}

/** The image that a digest, or the begin of one, stands for. @throws Fault Invalid when it is several */
function imageOf(images: readonly ListedImage[], text: string): ListedImage | undefined {
  const hex = /^(?:sha256:)?([0-9a-f]{6,64})$/.exec(text)?.[1]
  const found = hex === undefined ? [] : images.filter(({ digest }) => digest.startsWith(hex))
  if (found.length > 1)
    throw new Fault('Invalid', `${found.length} images have a digest that begins with ${text}; give more of it`)
  return found[0]
}

/** @throws Fault Conflict */
function requireUnused({ digest, isUsed }: StoredImage, isForced: boolean): void {
  if (isUsed && !isForced)
    throw new Fault(
      'Conflict',
      `Image sha256:${digest} is in use by a sandbox; stop its guest first, or remove it by --force: guests keep what they have`,
    )
}

function isSame(a: ReferenceEntry, b: ReferenceEntry): boolean {
  return a.reference === b.reference && a.path === b.path && a.scope === b.scope
}
