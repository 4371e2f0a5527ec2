import {
  type ApiObject,
  isBuiltIn,
  type Kind,
  type ManagedFieldsEntry,
  type ObjectMeta,
  type Stored,
  type StoredMeta,
} from '#apis/meta/object.ts'
import { Fault } from '#base/fault.ts'
import { isObject, type JsonObject, sameJson } from '#base/json.ts'
import type { Key } from '../client/client.ts'
import type { Row } from '../store/store.ts'

/** An object of any kind, as the machinery handles it: JSON whose header is known. */
export type Doc = ApiObject & JsonObject

/** An object as it is in a row, which has its resourceVersion beside it. */
type Kept = Doc & Readonly<{ metadata: Omit<StoredMeta, 'resourceVersion'> }>

const docs = new WeakMap<Row, Stored<Doc>>()

/** The object of a row, with the row's revision as resourceVersion. Always the same, immutable object. */
export function docOf(row: Row): Stored<Doc> {
  const known = docs.get(row)
  if (known) return known
  const { value } = row
  if (!isKept(value)) throw new Fault('Bug', `What is stored as ${row.key} is no object`)
  const metadata = Object.freeze({ ...value.metadata, resourceVersion: String(row.revision) })
  const doc = Object.freeze({ ...value, metadata })
  docs.set(row, doc)
  return doc
}

/** The object in the row that an update of the store has written or found; where there was none, it has thrown. */
export function writtenDoc(row: Row | undefined): Stored<Doc> {
  if (!row) throw new Fault('Bug', 'An update of the store has left no row')
  return docOf(row)
}

/** Whether what is in the store is an object: all that the registry writes are, once they have been checked. */
export function isKept(value: JsonObject): value is Kept {
  const { metadata } = value
  return isObject(metadata) && typeof metadata.uid === 'string' && typeof metadata.creationTimestamp === 'string'
}

/**
 * A client's object, with the server's part of the header in place. The rest is unchecked until the registry has validated
 * it: until then only validation may read it.
 */
export function uncheckedDoc(sent: JsonObject): Doc {
  return sent as Doc
}

/** Where an object lives in the store: `/GROUP/PLURAL[/NAMESPACE]/NAME`. */
export function storeKey(kind: Kind, key: Key): string {
  return prefixOf(kind, kind.namespaced ? (key.namespace ?? 'default') : undefined) + key.name
}

/** What the keys of all objects of a kind, or of one in a namespace, begin with. */
export function prefixOf(kind: Kind, namespace: string | undefined): string {
  return `/${kind.group || 'core'}/${kind.plural}/${namespace ? `${namespace}/` : ''}`
}

/** Metadata as it is stored. */
export function withoutRevision<M extends ObjectMeta>(meta: M): Omit<M, 'resourceVersion'> {
  const { resourceVersion: _, ...rest } = meta
  return rest
}

/** An object with its managedFields, which are omitted when empty. */
export function withManagers(doc: Doc, managedFields: readonly ManagedFieldsEntry[]): Doc {
  const { managedFields: before, ...metadata } = doc.metadata
  if (before === managedFields) return doc
  return { ...doc, metadata: managedFields.length ? { ...metadata, managedFields } : metadata }
}

/** True when nothing but metadata and status differs. */
export function sameSpec(a: Doc, b: Doc): boolean {
  const { metadata: _m, status: _s, ...left } = a
  const { metadata: _n, status: _t, ...right } = b
  return sameJson(left, right)
}

/**
 * Whether a write does nothing but take finalizers away, of which any rule that came later would keep an object from ending.
 * Whose they are to take is said by `restrict`.
 */
export function onlyLetsGo(next: Doc, current: Doc): boolean {
  const without = ({ metadata: { finalizers: _f, managedFields: _m, ...metadata }, ...doc }: Doc) => ({
    ...doc,
    metadata: withoutRevision(metadata),
  })
  const had = new Set(current.metadata.finalizers)
  const kept = next.metadata.finalizers ?? []
  return kept.length < had.size && kept.every((one) => had.has(one)) && sameJson(without(next), without(current))
}

/** Whether changes of a kind's desired state are counted: of custom resources, and of pods alone among the built-in kinds. */
export function hasGeneration(kind: Kind): boolean {
  return !isBuiltIn(kind) || (kind.group === '' && kind.kind === 'Pod')
}

/** A new generation, where the kind has them: the desired state has changed. */
export function bumped(kind: Kind, doc: Doc): Doc {
  if (!hasGeneration(kind)) return doc
  return { ...doc, metadata: { ...doc.metadata, generation: (doc.metadata.generation ?? 0) + 1 } }
}

/** Most bytes of one stored object, with everything that is known about the owners of its fields (etcd's limit). */
const maxStoredBytes = 1.5 * 1024 * 1024

/**
 * The bytes of an object as it is stored.
 * @throws Fault TooLarge for one that is too large for that, unless it was larger before
 */
export function requireStorable(kind: Kind, next: Doc, current?: Doc): number {
  const bytes = sizeOf(next)
  if (bytes <= maxStoredBytes || (current && bytes <= sizeOf(current))) return bytes
  throw new Fault(
    'TooLarge',
    `${kind.plural} "${next.metadata.name}" would have ${bytes} bytes; at most ${maxStoredBytes} can be stored, metadata.managedFields included`,
  )
}

function sizeOf(doc: Doc): number {
  return Buffer.byteLength(JSON.stringify(doc))
}

/** How a kind is addressed among all kinds. */
export function pathOf(kind: Pick<Kind, 'group' | 'version' | 'plural'>): string {
  return `${kind.group}/${kind.version}/${kind.plural}`
}

export function isNamespace(kind: Kind): boolean {
  return kind.group === '' && kind.plural === 'namespaces'
}
