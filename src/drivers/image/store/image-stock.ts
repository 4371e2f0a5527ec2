import { mkdir, statfs } from 'node:fs/promises'
import type { ImageRoom, ImageStock, KeptImage } from '#core/disk/image-stock.ts'
import { nameOf } from '../fetch/http-client.ts'
import { parseReference, referenceText } from '../registry/reference.ts'
import { ImageInventory, type ListedImage } from './inventory.ts'
import type { ReferenceEntry } from './references.ts'
import { isImageName } from './source.ts'

/** The disk images of a data directory, as its agent reports and removes them. */
export class HostImageStock implements ImageStock {
  readonly #root: string
  readonly #inventory: ImageInventory

  constructor(root: string) {
    this.#root = root
    this.#inventory = new ImageInventory(root)
  }

  async list(): Promise<readonly KeptImage[]> {
    return (await this.#inventory.list()).map(keptImage)
  }

  async room(): Promise<ImageRoom> {
    await mkdir(this.#root, { recursive: true, mode: 0o755 })
    const { blocks, bavail, bsize } = await statfs(this.#root)
    return { capacity: blocks * bsize, available: bavail * bsize }
  }

  async remove(digest: string): Promise<boolean> {
    return this.#inventory.removeUnused(digest)
  }
}

function keptImage({ digest, references, usedBytes, created, lastUsed, isUsed }: ListedImage): KeptImage {
  const names = references.flatMap(namesOf)
  const isImported = references.some((one) => one.isImported)
  // Digests first, as kubelet has them.
  const sorted = [...new Set(names)].toSorted((a, b) => Number(b.includes('@')) - Number(a.includes('@')))
  return { digest, names: sorted, bytes: usedBytes, created, lastUsed, isUsed, isImported }
}

/** What may be said of a reference: the query of a URL may have a password in it, and what is only for some is not told. */
function namesOf({ reference, version, scope }: ReferenceEntry): string[] {
  if (scope !== undefined) return []
  if (isImageName(reference)) return [reference]
  const url = /^https?:/i.test(reference) ? URL.parse(reference) : undefined
  if (url) return [nameOf(url)]
  const { host, repository } = parseReference(reference)
  const digest = version?.startsWith('sha256:') ? [referenceText({ host, repository, digest: version })] : []
  return [...digest, reference]
}
