import { createHash } from 'node:crypto'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { readTextIfAny, writeFileAtomic } from '#base/file.ts'
import { isObject, isStrings, parsedJson } from '#base/json.ts'

/** What a reference stands for on this host. */
export type ReferenceEntry = Readonly<{
  /** An imported name, a complete OCI reference, or a URL. */
  reference: string
  /** The disk's file in the image, if the reference was used with one. */
  path?: string | undefined
  /** Whose it is, if it was got with what only some may show. */
  scope?: string | undefined
  /** SHA-256 of the image's file, hexadecimal. */
  digest: string
  /** Whether it was given to us here, so that nothing can get it again. */
  isImported: boolean
  /** What the source called its version: the digest of a manifest, a validator of HTTP. */
  version?: string
  /** Digest of the manifest for our platform. */
  platformDigest?: string
  /** Checksums that were asked for and were right, `ALGORITHM:HEX`. */
  checksums: readonly string[]
  /** When it was written, milliseconds since 1970. */
  time: number
}>

type ReferenceKey = Pick<ReferenceEntry, 'reference' | 'path' | 'scope'>

/** The references of a host: a small file for each, whole or absent. */
export class References {
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
  }

  async find(reference: string, path?: string, scope?: string): Promise<ReferenceEntry | undefined> {
    const text = await readTextIfAny(this.#fileOf({ reference, path, scope }))
    return text === undefined ? undefined : parseEntry(text)
  }

  async list(): Promise<readonly ReferenceEntry[]> {
    const names = (await readdir(this.#folder).catch(() => [])).filter((name) => name.endsWith('.json'))
    const texts = await Promise.all(names.map((name) => readTextIfAny(join(this.#folder, name))))
    return texts.flatMap((text) => (text === undefined ? undefined : parseEntry(text)) ?? [])
  }

  async write(entry: ReferenceEntry): Promise<void> {
    await writeFileAtomic(this.#fileOf(entry), `${JSON.stringify(entry)}\n`, 0o644)
  }

  async remove(key: ReferenceKey): Promise<void> {
    await rm(this.#fileOf(key), { force: true })
  }

  #fileOf({ reference, path, scope }: ReferenceKey): string {
    const key = createHash('sha256')
      .update([reference, path ?? '', ...(scope === undefined ? [] : [scope])].join('\0'))
      .digest('hex')
    return join(this.#folder, `${key}.json`)
  }
}

/** A file that cannot be read is none: the image is got again. */
function parseEntry(text: string): ReferenceEntry | undefined {
  const entry = parsedJson(text)
  if (!isObject(entry)) return undefined
  const { reference, path, scope, digest, isImported, version, platformDigest, checksums, time } = entry
  if (typeof reference !== 'string' || typeof digest !== 'string' || typeof time !== 'number') return undefined
  return {
    reference,
    digest,
    isImported: isImported === true,
    checksums: isStrings(checksums) ? checksums : [],
    time,
    ...(typeof path === 'string' && { path }),
    ...(typeof scope === 'string' && { scope }),
    ...(typeof version === 'string' && { version }),
    ...(typeof platformDigest === 'string' && { platformDigest }),
  }
}
