import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { gzipSync } from 'node:zlib'
import type { JsonObject } from '#base/json.ts'
import { accepts } from '../http/encodings.ts'
import type { Answer } from '../http/exchange.ts'

/** A document that stays as it is, as it is sent. */
type Fixed = { readonly bytes: Buffer; readonly tag: string; zipped?: Buffer }

/** By document and media type. */
const known = new WeakMap<JsonObject, Map<string, Fixed>>()

/** Documents below this size are not worth compressing, bytes. */
const smallBytes = 4096
/** How long clients may keep what never changes under its address, seconds: a year. */
const foreverSeconds = 31_536_000

type How = Readonly<{
  headers: IncomingHttpHeaders
  /** Media type; JSON when absent. */
  type?: string
  encode?: (document: JsonObject) => Uint8Array
  /** What the client says that the tag is in the address, which then is of no other document. */
  hash?: string | undefined
}>

/** A short name of what a document says (its ETag). */
export function tagOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 32)
}

/**
 * A document that is the same for every client, as long as it lives: compressed for those who accept that, and not sent again to
 * those who have it (`If-None-Match`). It is written, named and compressed once.
 */
export function fixedAnswer(document: JsonObject, how: How): Answer {
  const { headers, type = 'application/json', hash } = how
  const fixed = fixedOf(document, type, how.encode)
  const { tag, bytes } = fixed
  const isHere = hash === tag
  const common = {
    etag: `"${tag}"`,
    vary: 'Accept, Accept-Encoding',
    'cache-control': isHere ? `public, max-age=${foreverSeconds}, immutable` : 'no-cache, private',
  }
  if (headers['if-none-match']?.includes(tag)) return { code: 304, type: '', headers: common, body: '' }
  if (bytes.length < smallBytes || !accepts(headers, 'gzip')) return { code: 200, type, headers: common, body: bytes }
  fixed.zipped ??= gzipSync(bytes)
  return { code: 200, type, headers: { ...common, 'content-encoding': 'gzip' }, body: fixed.zipped }
}

function fixedOf(document: JsonObject, type: string, encode: How['encode']): Fixed {
  const forms = known.get(document) ?? new Map<string, Fixed>()
  known.set(document, forms)
  const found = forms.get(type)
  if (found) return found
  const bytes = Buffer.from(encode ? encode(document) : JSON.stringify(document))
  const made: Fixed = { bytes, tag: tagOf(bytes) }
  forms.set(type, made)
  return made
}

/** Makes a document of some values once, and finds it again by them. */
export function remembered<K extends object>(make: (key: K, path: string) => JsonObject | undefined) {
  const made = new WeakMap<K, Map<string, JsonObject>>()
  return (key: K, path = ''): JsonObject | undefined => {
    const documents = made.get(key) ?? new Map<string, JsonObject>()
    made.set(key, documents)
    const document = documents.get(path) ?? make(key, path)
    if (document) documents.set(path, document)
    return document
  }
}
