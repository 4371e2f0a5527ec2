import type { Kind, ManagedFieldsEntry } from '#apis/meta/object.ts'
import { apiVersionOf } from '#apis/meta/object.ts'
import { isTime } from '#apis/meta/time.ts'
import { Fault } from '#base/fault.ts'
import { isObject, type JsonObject, sameJson } from '#base/json.ts'
import type { Doc } from '../doc.ts'
import {
  difference,
  type Fields,
  intersection,
  isEmpty,
  noFields,
  parseFields,
  pathsOf,
  union,
  unionOf,
} from './fields.ts'
import { merge, prune, requireMergeable } from './merge.ts'
import { shapeOf } from './schema.ts'
import { compare, type Difference, fieldsOf } from './typed.ts'

/** Who writes, and how: one such writer has one entry in managedFields. */
export type Writer = Readonly<{
  manager: string
  operation: 'Apply' | 'Update'
  subresource?: 'status' | undefined
  /** RFC 3339, now. */
  time: string
}>

type Entries = readonly ManagedFieldsEntry[]

/**
 * managedFields of a new object. An applier owns what the configuration says, an updater all that came: what holds others, too,
 * as in Kubernetes.
 */
export function trackCreate(kind: Kind, object: JsonObject, writer: Writer): Entries {
  const shape = shapeOf(kind)
  const fields = writer.operation === 'Apply' ? fieldsOf(shape, object) : compare(shape, {}, object).changed
  return withEntry([], kind, writer, fields)
}

/**
 * managedFields after an update from `before` to `after`: the writer alone owns changed fields. Fields the server changed in
 * `sent` (defaults) have no owner.
 */
export function trackUpdate(
  kind: Kind,
  entries: Entries,
  objects: Readonly<{ before: JsonObject; sent: JsonObject; after: JsonObject }>,
  writer: Writer,
): Entries {
  const shape = shapeOf(kind)
  const { before, sent, after } = objects
  const all = compare(shape, before, after)
  const changed = difference(all.changed, compare(shape, sent, after).changed)
  const others = disowned(entries, all, kind, writer)
  const mine = fieldsIn(entries.find((entry) => isOf(entry, kind, writer)))
  return capped(withEntry(others, kind, writer, union(difference(mine, all.removed, true), changed)))
}

/** Most entries that a client may send. */
const maxSentEntries = 100
/** Most entries of plain updates that one object has (Kubernetes' limit). */
const maxUpdateManagers = 10
/** The manager of what the oldest of more updates wrote (Kubernetes' name for it). */
const ancientChanges = 'ancient-changes'

/** `entries` with the oldest plain updates as one, where there are too many of them. Appliers are never merged. */
function capped(entries: Entries): Entries {
  const updates = entries.filter((entry) => entry.operation === 'Update')
  if (updates.length <= maxUpdateManagers) return entries
  const oldestFirst = updates.toSorted((a, b) => (a.time ?? '').localeCompare(b.time ?? ''))
  const old = oldestFirst.slice(0, updates.length - maxUpdateManagers + 1)
  const [first, last] = [old[0], old.at(-1)]
  if (!first || !last) return entries
  const { apiVersion } = first
  const merged = new Set(old.filter((entry) => entry.apiVersion === apiVersion))
  const ancient: ManagedFieldsEntry = {
    manager: ancientChanges,
    operation: 'Update',
    apiVersion,
    ...(last.time !== undefined && { time: last.time }),
    fieldsType: 'FieldsV1',
    fieldsV1: unionOf([...merged].map(fieldsIn)),
  }
  return [ancient, ...entries.filter((entry) => !merged.has(entry))]
}

/** The entries of other managers after changed and removed fields. The writer's own entry stays as it is. */
function disowned(
  entries: Entries,
  { changed, removed }: Difference,
  kind: Kind,
  writer: Writer,
): ManagedFieldsEntry[] {
  return entries.flatMap((entry) => {
    if (isOf(entry, kind, writer)) return [entry]
    const had = fieldsIn(entry)
    const has = difference(difference(had, changed), removed, true)
    if (has === had) return [entry]
    return isEmpty(has) ? [] : [{ ...entry, fieldsV1: has }]
  })
}

/** `entries` with the writer's own set; its time changes only when the set does. */
function withEntry(entries: Entries, kind: Kind, writer: Writer, fields: Fields): Entries {
  const { manager, operation, subresource, time } = writer
  const at = entries.findIndex((entry) => isOf(entry, kind, writer))
  if (isEmpty(fields) && operation === 'Update') return at < 0 ? entries : entries.toSpliced(at, 1)
  const old = entries[at]
  if (old && sameJson(old.fieldsV1, fields)) return entries
  const entry: ManagedFieldsEntry = {
    manager,
    operation,
    apiVersion: apiVersionOf(kind),
    time,
    fieldsType: 'FieldsV1',
    fieldsV1: fields,
    ...(subresource && { subresource }),
  }
  return at < 0 ? [...entries, entry] : entries.with(at, entry)
}

function isOf(entry: ManagedFieldsEntry, kind: Kind, { manager, operation, subresource }: Writer): boolean {
  return (
    entry.manager === manager &&
    entry.operation === operation &&
    entry.subresource === subresource &&
    entry.apiVersion === apiVersionOf(kind)
  )
}

function fieldsIn(entry: ManagedFieldsEntry | undefined): Fields {
  return entry?.fieldsV1 ?? noFields
}

/** The manager of fields from before tracking began (Kubernetes' name for it). */
const beforeFirstApply = 'before-first-apply'

/**
 * An object after applying a configuration: its fields are set, and fields it set before and omits now are removed unless
 * another manager has them. @throws Fault Conflict, naming every field of another owner, unless forced.
 */
export function applied(
  kind: Kind,
  live: Doc,
  config: JsonObject,
  { writer, force }: Readonly<{ writer: Writer; force: boolean }>,
): JsonObject {
  const shape = shapeOf(kind)
  const known = live.metadata.managedFields ?? []
  const entries = known.length ? known : firstEntries(kind, live, writer)
  const before = fieldsIn(entries.find((entry) => isOf(entry, kind, writer)))
  const wanted = fieldsOf(shape, config)
  const others = entries.filter((entry) => !isOf(entry, kind, writer))
  const merged = merge(shape, live, config)
  const owned = unionOf([wanted, ...others.map(fieldsIn)])
  const appliers = others.filter(({ operation }) => operation === 'Apply')
  const kept = { owned, applied: unionOf([wanted, ...appliers.map(fieldsIn)]) }
  const pruned = isEmpty(before) ? merged : prune(shape, merged, before, kept)
  const result = isObject(pruned) ? pruned : {}
  const found = compare(shape, live, result)
  if (!force) requireNoConflict(others, difference(found.changed, inherited(kind, live, writer)))
  const managedFields = withEntry(disowned(entries, found, kind, writer), kind, writer, wanted)
  return withManaged(result, managedFields)
}

/** Where `kubectl apply` without --server-side notes what it applied. */
const lastApplied = 'kubectl.kubernetes.io/last-applied-configuration'

/** Fields that kubectl applied as a client before it let the server do it: they are its own already (as in Kubernetes). */
function inherited(kind: Kind, live: Doc, { manager }: Writer): Fields {
  const text = live.metadata.annotations?.[lastApplied]
  if (manager !== 'kubectl' || !text) return noFields
  try {
    const config: unknown = JSON.parse(text)
    return isObject(config) ? fieldsOf(shapeOf(kind), config) : noFields
  } catch {
    // Another manager changed it since: nothing is inherited.
    return noFields
  }
}

/** A configuration as it goes into `applied`; errors name it as `what`. @throws Fault BadRequest */
export function configOf(kind: Kind, config: JsonObject, what: string): JsonObject {
  return requireMergeable(shapeOf(kind), config, what)
}

function requireNoConflict(others: Entries, changed: Fields): void {
  const conflicts = others.flatMap((entry) =>
    pathsOf(intersection(fieldsIn(entry), changed)).map((field) => ({ owner: nameOf(entry), field })),
  )
  const [first] = conflicts
  if (!first) return
  const causes = conflicts.map(({ owner, field }) => ({
    reason: 'FieldManagerConflict',
    message: `conflict with ${owner}`,
    field,
  }))
  const byOwner = Map.groupBy(conflicts, ({ owner }) => owner)
  const lines = [...byOwner]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([owner, theirs]) => [`conflicts with ${owner}:`, ...theirs.map(({ field }) => `- ${field}`)])
  const message =
    conflicts.length === 1
      ? `Apply failed with 1 conflict: conflict with ${first.owner}: ${first.field}`
      : `Apply failed with ${conflicts.length} conflicts: ${lines.join('\n')}`
  throw new Fault('Conflict', message, { data: { details: { causes } } })
}

/** A manager in the words of Kubernetes: `"kubectl-edit" using kubevirt.io/v1`. */
function nameOf({ manager, operation, subresource, apiVersion }: ManagedFieldsEntry): string {
  const name = `${JSON.stringify(manager)}${subresource ? ` with subresource ${JSON.stringify(subresource)}` : ''}`
  return operation === 'Update' ? `${name} using ${apiVersion}` : name
}

function firstEntries(kind: Kind, live: JsonObject, { time }: Writer): Entries {
  return trackCreate(kind, live, { manager: beforeFirstApply, operation: 'Update', time })
}

function withManaged(object: JsonObject, managedFields: Entries): JsonObject {
  return {
    ...object,
    metadata: { ...(isObject(object.metadata) && object.metadata), managedFields },
  }
}

/**
 * The managedFields an update starts from: what the client sent if it is well-formed (kubectl moves ownership this way, and
 * an empty list clears it), else what the object has. @throws Fault BadRequest for very many entries
 */
export function sentEntries(sent: unknown, current: Entries | undefined): Entries {
  const kept = current ?? []
  if (sent === undefined || sent === current || !Array.isArray(sent)) return kept
  const most = Math.max(maxSentEntries, kept.length)
  if (sent.length > most)
    throw new Fault('BadRequest', `metadata.managedFields: Too many: ${sent.length}: must have at most ${most} items`)
  if (sent.every((entry) => isObject(entry) && !Object.keys(entry).length)) return []
  return areEntries(sent) ? sent : kept
}

function areEntries(list: unknown): list is Entries {
  return Array.isArray(list) && list.every(isEntry)
}

function isEntry(entry: unknown): boolean {
  if (!isObject(entry)) return false
  const { manager, operation, apiVersion, time, fieldsType, fieldsV1 } = entry
  return (
    typeof manager === 'string' &&
    (operation === 'Apply' || operation === 'Update') &&
    typeof apiVersion === 'string' &&
    (time === undefined || time === null || (typeof time === 'string' && isTime(time))) &&
    fieldsType === 'FieldsV1' &&
    parseFields(fieldsV1) !== undefined
  )
}
