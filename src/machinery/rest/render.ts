import { apiVersionOf, isBuiltIn, type Kind } from '#apis/meta/object.ts'
import type { JsonObject } from '#base/json.ts'
import { type Encoding, type Form, metaGroup, negotiated, type Wanted } from './accept.ts'
import type { Doc } from './doc.ts'
import { encodeEvent, isEncodable, protobufStream } from './protobuf-encode.ts'
import type { Query } from './request.ts'
import { type IncludeObject, tableOf } from './table.ts'

type Asking = Readonly<{ accept: string | undefined; query: Query }>

/** How objects of a kind are shown to one client: as they are, as rows of a table, or by their metadata alone. */
export class Rendering {
  readonly encoding: Encoding
  readonly #kind: Kind
  readonly #wanted: Wanted
  readonly #include: IncludeObject

  /** `what` is to be shown: one object, a list, or the objects of a watch. @throws Fault NotAcceptable */
  constructor(kind: Kind, { accept, query }: Asking, what: 'one' | 'list' | 'watch') {
    const metadata: Form = what === 'list' ? 'PartialObjectMetadataList' : 'PartialObjectMetadata'
    this.#kind = kind
    this.#wanted = negotiated(accept, {
      forms: ['Table', metadata],
      isYaml: what !== 'watch',
      isProtobuf: isEncodable({ apiVersion: apiVersionOf(kind), kind: kind.kind }),
    })
    this.encoding = this.#wanted.encoding
    const { includeObject } = query
    this.#include = includeObject === 'None' || includeObject === 'Object' ? includeObject : 'Metadata'
  }

  /** Whether objects are shown as they are. */
  get isWhole(): boolean {
    return this.#wanted.form === 'Object'
  }

  one(doc: Doc): JsonObject {
    if (this.#wanted.form === 'Table')
      return this.#table([doc], { resourceVersion: doc.metadata.resourceVersion ?? '' })
    return this.isWhole ? doc : this.#partial(doc)
  }

  list(docs: readonly Doc[], metadata: JsonObject): JsonObject {
    if (this.#wanted.form === 'Table') return this.#table(docs, metadata)
    if (this.isWhole) {
      const items = isBuiltIn(this.#kind) ? docs.map(untyped) : docs
      return { kind: `${this.#kind.kind}List`, apiVersion: apiVersionOf(this.#kind), metadata, items }
    }
    const items = docs.map((doc) => this.#partial(doc))
    return { kind: 'PartialObjectMetadataList', apiVersion: this.#version, metadata, items }
  }

  /** The media type of a watch. */
  get streamType(): string {
    return this.encoding === 'protobuf' ? protobufStream : 'application/json'
  }

  /** An event of a watch, as it is sent; `object` is what it is about, shown like this, or the Status of an error. */
  event(type: string, object: JsonObject): string | Buffer {
    if (this.encoding === 'protobuf') return encodeEvent(type, object)
    return `${JSON.stringify({ type, object })}\n`
  }

  /** What stands for the progress of a watch. */
  bookmark(metadata: JsonObject): JsonObject {
    if (this.#wanted.form === 'PartialObjectMetadata') return this.#partial({ metadata })
    return { kind: this.#kind.kind, apiVersion: apiVersionOf(this.#kind), metadata }
  }

  get #version(): string {
    return `${metaGroup}/${this.#wanted.version}`
  }

  #partial({ metadata }: Readonly<{ metadata: JsonObject }>): JsonObject {
    return { kind: 'PartialObjectMetadata', apiVersion: this.#version, metadata }
  }

  #table(docs: readonly Doc[], metadata: JsonObject): JsonObject {
    return tableOf(this.#kind, docs, metadata, { include: this.#include, version: this.#version, nowMs: Date.now() })
  }
}

const untypedDocs = new WeakMap<Doc, JsonObject>()

/**
 * An object as an item of a list of its kind, which says what kind its items are of: lists of the kinds built into Kubernetes
 * leave it out of the items, those of custom resources repeat it. Always the same for the same object.
 */
function untyped(doc: Doc): JsonObject {
  const known = untypedDocs.get(doc)
  if (known) return known
  const { apiVersion: _v, kind: _k, ...item } = doc
  untypedDocs.set(doc, item)
  return item
}
