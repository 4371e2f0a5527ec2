import type { Kind } from '#apis/meta/object.ts'
import { Fault, faultKind } from '#base/fault.ts'
import { isObject, type JsonObject, parsedJson } from '#base/json.ts'
import type { Doc } from './doc.ts'
import type { Registry, Snapshot } from './registry.ts'
import { countOf, invalidOption, type Query } from './request.ts'
import { parseSelectors } from './selector.ts'

/** Most lists kept for clients that read them in pages. Their objects are shared with the store. */
const maxKept = 64

/** Lists with a next page that a client may request; the oldest go first. */
class Kept {
  readonly #snapshots = new Map<string, Snapshot>()

  put(key: string, snapshot: Snapshot): void {
    this.#snapshots.delete(key)
    this.#snapshots.set(key, snapshot)
    for (const oldest of this.#snapshots.keys()) {
      if (this.#snapshots.size <= maxKept) break
      this.#snapshots.delete(oldest)
    }
  }

  /** Undefined when it has been forgotten: it was one too many, or history as old as it is compacted away. */
  find(key: string, compacted: number): Snapshot | undefined {
    for (const [old, { revision }] of this.#snapshots) if (revision < compacted) this.#snapshots.delete(old)
    return this.#snapshots.get(key)
  }
}

const keptOf = new WeakMap<Registry, Kept>()

/** One page of a list and what goes into its metadata. */
export type Page = Readonly<{ items: readonly Doc[]; metadata: JsonObject }>

/** Where a list continues: after the object `start`, as of a revision; `-1` is now, whatever has changed. */
type Token = Readonly<{ revision: number; start: string }>

/**
 * The objects of a list request. With `limit` they come in pages, all of one revision.
 * @throws Fault BadRequest, Invalid, Timeout for a future revision, Expired for a compacted one.
 */
export async function listPage(
  registry: Registry,
  kind: Kind,
  namespace: string | undefined,
  query: Query,
): Promise<Page> {
  const selected = parseSelectors(query, kind)
  const limit = countOf(query, 'limit') || Number.POSITIVE_INFINITY
  const key = (revision: number) => `${kind.group}/${kind.plural} ${namespace ?? ''} ${revision}`
  const kept = keptOf.get(registry) ?? new Kept()
  keptOf.set(registry, kept)
  const token = tokenOf(query)
  const snapshot = await snapshotOf()
  const { revision } = snapshot
  const from = token ? snapshot.items.findIndex((doc) => nameOf(doc) > token.start) : 0
  const rest = from < 0 ? [] : snapshot.items.slice(from).filter(selected)
  const items = rest.length > limit ? rest.slice(0, limit) : rest
  const metadata = { resourceVersion: String(revision) }
  const last = items.at(-1)
  if (!last || items.length === rest.length) return { items, metadata }
  kept.put(key(revision), snapshot)
  const isSelective = query.labelSelector || query.fieldSelector
  return {
    items,
    metadata: {
      ...metadata,
      continue: textOf({ revision, start: nameOf(last) }),
      ...(!isSelective && { remainingItemCount: rest.length - items.length }),
    },
  }

  async function snapshotOf(): Promise<Snapshot> {
    const exact = token ? (token.revision < 0 ? undefined : token.revision) : revisionOf(registry, query)
    const old = exact === undefined ? undefined : kept.find(key(exact), registry.store.compacted)
    if (old) return old
    const now = await registry.list(kind, namespace)
    if (exact === undefined || exact === now.revision) return now
    try {
      return await registry.listAt(kind, namespace, exact)
    } catch (error) {
      if (faultKind(error) !== 'Expired') throw error
      throw token ? tooOld(token) : new Fault('Expired', 'The resourceVersion for the provided list is too old.')
    }
  }
}

/** The order of lists is that of the store: by namespace, then by name. */
function nameOf({ metadata: { namespace, name } }: Doc): string {
  return namespace === undefined ? name : `${namespace}/${name}`
}

/** The one revision a list must be of; undefined when the newest will do. */
function revisionOf(registry: Registry, query: Query): number | undefined {
  const match = query.resourceVersionMatch
  const bad = (message: string) => invalidOption('ListOptions', 'resourceVersionMatch', message)
  if (query.sendInitialEvents)
    throw invalidOption('ListOptions', 'sendInitialEvents', 'Forbidden: sendInitialEvents is forbidden for list')
  const revision = countOf(query, 'resourceVersion')
  if (match) {
    if (revision === undefined)
      throw bad('Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided')
    if (match !== 'Exact' && match !== 'NotOlderThan')
      throw bad(`Unsupported value: "${match}": supported values: "Exact", "NotOlderThan", ""`)
    if (match === 'Exact' && revision === 0)
      throw bad('Forbidden: resourceVersionMatch "Exact" is forbidden for resourceVersion "0"')
  }
  requireReached(registry, revision)
  const legacyExact = !match && Boolean(query.limit && query.limit !== '0')
  return revision && (match === 'Exact' || legacyExact) ? revision : undefined
}

/** @throws Fault Timeout for a future revision: the client has seen another store, or a newer state of this one. */
export function requireReached(registry: Registry, revision: number | undefined): void {
  const { revision: newest } = registry.store
  if (revision === undefined || revision <= newest) return
  const causes = [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }]
  throw new Fault('Timeout', `Timeout: Too large resource version: ${revision}, current: ${newest}`, {
    data: { details: { causes, retryAfterSeconds: 1 } },
  })
}

function tokenOf(query: Query): Token | undefined {
  if (!query.continue) return undefined
  if (query.resourceVersionMatch)
    throw invalidOption(
      'ListOptions',
      'resourceVersionMatch',
      'Forbidden: resourceVersionMatch is forbidden when continue is provided',
    )
  if (query.resourceVersion && query.resourceVersion !== '0')
    throw new Fault('BadRequest', 'specifying resource version is not allowed when using continue')
  const value = parsedJson(Buffer.from(query.continue, 'base64url').toString('utf8'))
  if (!isObject(value) || typeof value.start !== 'string' || !Number.isInteger(value.rv))
    throw new Fault('BadRequest', 'continue key is not valid: use the one of the previous page, or none to start again')
  return { revision: Number(value.rv), start: value.start }
}

function textOf({ revision, start }: Token): string {
  return Buffer.from(JSON.stringify({ v: 'meta.k8s.io/v1', rv: revision, start })).toString('base64url')
}

/** Kubernetes' words; the answer carries a token with which the rest can still be read. */
function tooOld({ start }: Token): Fault {
  return new Fault(
    'Expired',
    'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.',
    { data: { continue: textOf({ revision: -1, start }) } },
  )
}
