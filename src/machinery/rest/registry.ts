import { apiVersionOf, type FieldError, type Kind, type ObjectMeta, type Stored } from '#apis/meta/object.ts'
import { Fault } from '#base/fault.ts'
import { isObject, type JsonObject, sameJson } from '#base/json.ts'
import { timestamp } from '#base/time.ts'
import type { Key, Propagation } from '../client/client.ts'
import type { Change, Decision, Row, Store } from '../store/store.ts'
import { sentEntries, trackCreate, trackUpdate, type Writer } from './apply/managed.ts'
import { type ClaimRequest, Claims } from './claims.ts'
import {
  bumped,
  type Doc,
  docOf,
  hasGeneration,
  isNamespace,
  onlyLetsGo,
  pathOf,
  prefixOf,
  requireStorable,
  sameSpec,
  storeKey,
  uncheckedDoc,
  withManagers,
  withoutRevision,
  writtenDoc,
} from './doc.ts'
import {
  clientMetadata,
  generatedName,
  metadataErrors,
  newFinalizerErrors,
  requireHeader,
  requireNames,
  requireNamespaceOf,
} from './metadata.ts'
import { requireMortal, requireRevision, requireUid } from './preconditions.ts'
import { finalizersFor } from './propagation.ts'
import { alreadyExists, conflict, forbidden, invalid, notFound } from './status.ts'
import type { Served, User } from './strategy.ts'
import { withoutUnknown } from './unknown.ts'
import type { Ration, Taking } from './usage.ts'
import { newSchemaErrors } from './validate.ts'

/** How a write is to be done. */
export type WriteOptions = Readonly<{
  user: User
  /** Do everything but store. */
  dryRun?: boolean
  subresource?: 'status'
  /** What to do about fields no schema knows; they are never stored. */
  unknownFields?: 'Strict' | 'Warn' | 'Ignore'
  /** The name under which the fields written are owned; the user's name when absent. */
  manager?: string
  /** Apply: the object to be written says itself who owns what (see apply/managed.ts). */
  operation?: 'Apply' | 'Update'
  /** Receives warnings for the client. */
  warn?: (text: string) => void
}>

/** What must be true of an object for a delete to happen. */
export type DeleteOptions = Readonly<{
  user: User
  dryRun?: boolean
  uid?: string
  resourceVersion?: string
  propagation?: Propagation
}>

/** A list as it was at a revision. */
export type Snapshot = Readonly<{ items: readonly Stored<Doc>[]; revision: number }>

/** Says what an object will be and was, so that it has what it claims. */
type Claim = (next: Doc, current: Doc | undefined) => void

/**
 * Generic create, read, update, delete and watch for every served kind: what the Kubernetes API server does for all objects
 * alike. Kinds differ only by their schema and their Strategy.
 */
export class Registry {
  readonly store: Store
  readonly served: readonly Served[]
  readonly claims: Claims
  readonly ration: Ration
  readonly #byPath = new Map<string, Served>()

  /** `ration` refuses writes beyond a quota; by default none. */
  constructor(store: Store, served: readonly Served[], parts: Readonly<{ claims?: Claims; ration?: Ration }> = {}) {
    this.store = store
    this.claims = parts.claims ?? new Claims(store)
    this.ration = parts.ration ?? (() => undefined)
    this.served = served
    for (const one of served) this.#byPath.set(pathOf(one.kind), one)
  }

  /** The kind served under a group, version and plural name. */
  find(group: string, version: string, plural: string): Served | undefined {
    return this.#byPath.get(pathOf({ group, version, plural }))
  }

  /** @throws Fault NotFound */
  async get(kind: Kind, key: Key): Promise<Stored<Doc>> {
    const row = await this.store.get(storeKey(kind, key))
    if (!row) throw notFound(kind, key.name)
    return docOf(row)
  }

  /** All objects of a kind, or of a kind in a namespace, in order of namespace and name. */
  async list(kind: Kind, namespace?: string): Promise<Snapshot> {
    const { rows, revision } = await this.store.list(prefixOf(kind, namespace))
    return { items: rows.map(docOf), revision }
  }

  /** The same as they were at a revision. @throws Fault Expired when that is forgotten */
  async listAt(kind: Kind, namespace: string | undefined, revision: number): Promise<Snapshot> {
    const rows = await this.store.listAt(prefixOf(kind, namespace), revision)
    return { items: rows.map(docOf), revision }
  }

  /** Changes of a kind after a revision, as the store reports them. */
  watch(
    kind: Kind,
    namespace: string | undefined,
    after: number,
    signal: AbortSignal,
  ): AsyncIterable<readonly Change[]> {
    return this.store.watch(prefixOf(kind, namespace), after, signal)
  }

  /**
   * Creates an object. @throws Fault AlreadyExists, Invalid with every error, NotFound for the namespace, BadRequest.
   */
  async create(kind: Kind, namespace: string | undefined, input: JsonObject, options: WriteOptions): Promise<Doc> {
    const draft = this.#draft(kind, namespace, input)
    if (kind.namespaced) await this.#requireNamespace(kind, draft.metadata)
    const { strategy } = this.#strategyOf(kind)
    const build = (): { prepared: Doc; bytes: number } => {
      const object = uncheckedDoc(withoutUnknown(kind, draft, input, options))
      const prepared = strategy.prepare?.(object, undefined, options.user) ?? object
      this.#check(kind, prepared, undefined, options)
      this.#restrict(kind, prepared, undefined, options.user)
      const owned = trackCreate(kind, object, writerOf(options))
      const whole = withManagers(prepared, owned)
      return { prepared: whole, bytes: requireStorable(kind, whole) }
    }
    const { user } = options
    const key = storeKey(kind, draft.metadata)
    if (options.dryRun) {
      const { prepared, bytes } = build()
      if (await this.store.get(key)) throw alreadyExists(kind, prepared.metadata.name)
      this.#requireRoom({ kind, next: prepared, current: undefined, bytes, user })
      return prepared
    }
    const row = await this.#claiming(kind, key, draft.metadata.uid, (claim) => {
      const { prepared, bytes } = build()
      claim(prepared, undefined)
      return this.store.update(key, (current) => {
        if (current) throw alreadyExists(kind, prepared.metadata.name)
        this.#requireRoom({ kind, next: prepared, current: undefined, bytes, user })
        return { type: 'put', value: prepared }
      })
    })
    return writtenDoc(row)
  }

  /**
   * Changes an object: `change` maps the current one to the wanted one (undefined: leave it) and is called again after a
   * conflict. @throws Fault NotFound, Conflict, Invalid, whatever `change` throws.
   */
  async update(
    kind: Kind,
    key: Key,
    change: (current: Stored<Doc>) => JsonObject | undefined,
    options: WriteOptions,
  ): Promise<Stored<Doc>> {
    const decide = (row: Row | undefined, claim?: Claim): Decision | undefined => {
      if (!row) throw notFound(kind, key.name)
      const current = docOf(row)
      const wanted = change(current)
      if (wanted === undefined) return undefined
      const next = this.#next(kind, current, wanted, options)
      if (!next) return undefined
      const gone = next.metadata.deletionTimestamp && !next.metadata.finalizers?.length
      const bytes = gone ? 0 : requireStorable(kind, next, current)
      const { user, subresource } = options
      if (!next.metadata.deletionTimestamp) this.#requireRoom({ kind, next, current, bytes, user, subresource })
      claim?.(next, current)
      return { type: gone ? 'delete' : 'put', value: next }
    }
    const path = storeKey(kind, key)
    if (options.dryRun) {
      const row = await this.store.get(path)
      const decision = decide(row)
      return writtenDoc(row && decision?.value ? { ...row, value: decision.value } : row)
    }
    // Only specs hold what is claimed.
    const uid = options.subresource ? undefined : await this.#uidOf(kind, path)
    const write = (claim: Claim) => this.store.update(path, (row) => decide(row, claim))
    return writtenDoc(await this.#claiming(kind, path, uid, write))
  }

  /** Writes an object that may claim values; `claim` gets the new and the old object. */
  #claiming(
    kind: Kind,
    path: string,
    uid: string | undefined,
    write: (claim: Claim) => Promise<Row | undefined>,
  ): Promise<Row | undefined> {
    const { claims } = this.#strategyOf(kind).strategy
    if (!claims || uid === undefined) return write(() => undefined)
    const claiming = (need: (request: ClaimRequest) => void) =>
      write((next, current) => {
        const before = new Set(current && claims(current).values)
        const request = claims(next)
        need({ ...request, values: request.values.filter((value) => !before.has(value)) })
      })
    const left = async () => {
      const row = await this.store.get(path)
      return row && docOf(row).metadata.uid === uid ? claims(docOf(row)).values : []
    }
    return this.claims.during(uid, claiming, left)
  }

  async #uidOf(kind: Kind, path: string): Promise<string | undefined> {
    const row = this.#strategyOf(kind).strategy.claims && (await this.store.get(path))
    return row && docOf(row).metadata.uid
  }

  /** Makes claims those of the objects there are: a crash may have left some behind. */
  async repairClaims(): Promise<void> {
    const requests: ClaimRequest[] = []
    for (const { kind, strategy } of this.served)
      if (strategy.claims) for (const doc of (await this.list(kind)).items) requests.push(strategy.claims(doc))
    await this.claims.repair(requests)
  }

  /**
   * Asks for deletion: at once without finalizers, else the object is marked and goes when the last finalizer does.
   * Resolves to the marked object, or undefined when it is gone. @throws Fault NotFound, Conflict.
   */
  async delete(kind: Kind, key: Key, options: DeleteOptions): Promise<{ doc: Stored<Doc>; gone: boolean }> {
    let gone = false
    const decide = (row: Row | undefined): Decision | undefined => {
      if (!row) throw notFound(kind, key.name)
      const doc = docOf(row)
      const { metadata } = doc
      this.#restrict(kind, doc, doc, options.user)
      requireMortal(kind, key.name)
      requireUid(kind, metadata, options.uid)
      requireRevision(kind, metadata, options.resourceVersion)
      const finalizers = finalizersFor(metadata, kind.isUncollected ? undefined : options.propagation)
      gone = !finalizers.length
      if (gone) return { type: 'delete', value: row.value }
      if (metadata.deletionTimestamp && sameJson(finalizers, metadata.finalizers)) return undefined
      const marked = {
        ...metadata,
        finalizers,
        deletionTimestamp: metadata.deletionTimestamp ?? timestamp(),
        deletionGracePeriodSeconds: 0,
        ...(metadata.generation !== undefined && { generation: metadata.generation + 1 }),
      }
      return { type: 'put', value: { ...row.value, metadata: withoutRevision(marked) } }
    }
    const path = storeKey(kind, key)
    const row = options.dryRun ? await this.store.get(path) : await this.store.update(path, decide)
    if (options.dryRun) decide(row)
    const doc = writtenDoc(row)
    if (gone && !options.dryRun) await this.claims.release(doc.metadata.uid)
    return { doc, gone }
  }

  /** What a client sent, with the server's part of the metadata in place. */
  #draft(kind: Kind, namespace: string | undefined, input: JsonObject): Doc {
    const meta = requireHeader(kind, input)
    if (meta.resourceVersion)
      throw new Fault('BadRequest', 'resourceVersion should not be set on objects to be created')
    const { name: chosen, generateName, namespace: sent } = requireNames(meta)
    requireNamespaceOf(kind, sent, namespace)
    const name = chosen || (generateName ? generatedName(generateName) : '')
    const metadata = {
      ...clientMetadata(meta),
      ...(generateName && { generateName }),
      name,
      ...(kind.namespaced && { namespace: namespace ?? (sent || 'default') }),
      uid: crypto.randomUUID(),
      creationTimestamp: timestamp(),
      ...(hasGeneration(kind) && { generation: 1 }),
    }
    const { status, ...rest } = input
    const own = kind.status || status === undefined ? rest : { ...rest, status }
    return uncheckedDoc({ ...own, apiVersion: apiVersionOf(kind), kind: kind.kind, metadata })
  }

  async #requireNamespace(kind: Kind, { name, namespace = '' }: ObjectMeta): Promise<void> {
    const row = await this.store.get(`/core/namespaces/${namespace}`)
    if (!row) throw notFound({ group: '', plural: 'namespaces', kind: 'Namespace' }, namespace)
    if (!docOf(row).metadata.deletionTimestamp) return
    const why = `unable to create new content in namespace ${namespace} because it is being terminated`
    const message = `namespace ${namespace} is being terminated`
    throw forbidden(kind, name, why, [{ reason: 'NamespaceTerminating', message, field: 'metadata.namespace' }])
  }

  /** The object as it will be stored, or undefined when the write would change nothing. */
  #next(kind: Kind, current: Stored<Doc>, input: JsonObject, options: WriteOptions): Doc | undefined {
    this.#restrict(kind, current, current, options.user)
    const meta = requireHeader(kind, input)
    const name = current.metadata.name
    if (!meta.name) throw new Fault('BadRequest', 'name must be provided')
    if (meta.name !== name)
      throw new Fault(
        'BadRequest',
        `the name of the object (${meta.name}) does not match the name on the URL (${name})`,
      )
    requireNamespaceOf(kind, meta.namespace, current.metadata.namespace)
    requireUid(kind, current.metadata, meta.uid || undefined)
    if (meta.resourceVersion && meta.resourceVersion !== current.metadata.resourceVersion)
      throw conflict(
        kind,
        name,
        'the object has been modified; please apply your changes to the latest version and try again',
      )
    const merged = this.#merge(kind, current, input, options)
    const { strategy } = this.#strategyOf(kind)
    const prepared = options.subresource ? merged : (strategy.prepare?.(merged, current, options.user) ?? merged)
    const managed = sentEntries(meta.managedFields, current.metadata.managedFields)
    const next = withManagers(sameSpec(current, prepared) ? prepared : bumped(kind, prepared), managed)
    if (sameJson({ ...current, metadata: withoutRevision(current.metadata) }, next)) return undefined
    this.#check(kind, next, current, options)
    this.#restrict(kind, next, current, options.user)
    if (options.operation === 'Apply') return next
    const objects = { before: current, sent: merged, after: next }
    return withManagers(next, trackUpdate(kind, managed, objects, writerOf(options)))
  }

  /** Takes from `input` what this write may change, and everything else from `current`. */
  #merge(kind: Kind, current: Stored<Doc>, input: JsonObject, options: WriteOptions): Doc {
    const metadata = withoutRevision(current.metadata)
    if (options.subresource === 'status') {
      const { status } = withoutUnknown(kind, { ...input, metadata }, input, options)
      const { status: _, ...rest } = current
      return { ...rest, metadata, ...(status !== undefined && status !== null && { status }) }
    }
    const {
      resourceVersion: _,
      labels: _l,
      annotations: _a,
      finalizers: _f,
      ownerReferences: _o,
      ...fixed
    } = current.metadata
    const { status, ...rest } = input
    const kept = kind.status ? current.status : status
    const sent = isObject(input.metadata) ? input.metadata : {}
    const merged = {
      ...rest,
      apiVersion: current.apiVersion,
      kind: current.kind,
      metadata: { ...clientMetadata(sent), ...fixed },
      ...(kept !== undefined && { status: kept }),
    }
    return uncheckedDoc(withoutUnknown(kind, merged, input, options))
  }

  /** @throws Fault Forbidden for what takes more than its namespace may have */
  #requireRoom(write: Taking): void {
    const why = this.ration(write)
    if (why !== undefined) throw forbidden(write.kind, write.next.metadata.name, why)
  }

  /** @throws Fault Forbidden for those who may write such objects, yet not this one */
  #restrict(kind: Kind, next: Doc, current: Stored<Doc> | undefined, user: User): void {
    const why = this.#strategyOf(kind).strategy.restrict?.(next, current, user)
    if (why !== undefined) throw forbidden(kind, next.metadata.name, why)
  }

  #check(kind: Kind, next: Doc, current: Stored<Doc> | undefined, options: WriteOptions): void {
    if (current && onlyLetsGo(next, current)) return
    const { strategy } = this.#strategyOf(kind)
    const errors: FieldError[] = [
      ...metadataErrors(next.metadata, { isNamespace: isNamespace(kind), anySegment: kind.names === 'segment' }),
      ...(current ? newFinalizerErrors(next.metadata, current.metadata) : []),
      ...newSchemaErrors(kind, next, current),
    ]
    if (errors.length) throw invalid(kind, next.metadata.name, errors)
    if (options.subresource) return
    for (const text of (options.warn && strategy.warnings?.(next, current)) ?? []) options.warn?.(text)
    const denied = strategy.validate?.(next, current, options.user) ?? []
    if (denied.length) throw invalid(kind, next.metadata.name, denied, strategy.webhook)
  }

  #strategyOf(kind: Kind): Served {
    const served = this.#byPath.get(pathOf(kind))
    if (!served) throw new Fault('Bug', `Kind ${kind.kind} is not served`)
    return served
  }
}

/** Who makes a write, as managedFields names it. */
export function writerOf({ manager, user, operation = 'Update', subresource }: WriteOptions): Writer {
  return { manager: manager || user.name, operation, subresource, time: timestamp() }
}
