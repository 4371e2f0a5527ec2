import { apiVersionOf, type Kind } from '#apis/meta/object.ts'
import type { JsonObject } from '#base/json.ts'
import { type Form, metaGroup, negotiated, type Wanted } from './accept.ts'
import type { Doc } from './doc.ts'
import type { Query } from './request.ts'
import { type IncludeObject, tableOf } from './table.ts'

type Asking = Readonly<{ accept: string | undefined; query: Query }>

/** How objects of a kind are shown to one client: as they are, as rows of a table, or by their metadata alone. */
export class Rendering {
  readonly isYaml: boolean
  readonly #kind: Kind
  readonly #wanted: Wanted
  readonly #include: IncludeObject

  /** `what` is to be shown: one object, a list, or the objects of a watch. @throws Fault NotAcceptable */
  constructor(kind: Kind, { accept, query }: Asking, what: 'one' | 'list' | 'watch') {
    const metadata: Form = what === 'list' ? 'PartialObjectMetadataList' : 'PartialObjectMetadata'
    this.#kind = kind
    this.#wanted = negotiated(accept, ['Table', metadata], what !== 'watch')
    this.isYaml = this.#wanted.isYaml
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
    if (this.isWhole)
      return { kind: `${this.#kind.kind}List`, apiVersion: apiVersionOf(this.#kind), metadata, items: docs }
    const items = docs.map((doc) => this.#partial(doc))
    return { kind: 'PartialObjectMetadataList', apiVersion: this.#version, metadata, items }
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
