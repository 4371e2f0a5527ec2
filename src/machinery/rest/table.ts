import type { Column, Kind } from '#apis/meta/object.ts'
import { isObject, type JsonObject } from '#base/json.ts'
import type { Doc } from './doc.ts'

/** How much of each object a table row carries along. */
export type IncludeObject = 'None' | 'Metadata' | 'Object'

/** Renders objects as a Table of a `version` of `meta.k8s.io`, the form kubectl requests for columns. */
export function tableOf(
  kind: Kind,
  docs: readonly Doc[],
  listMeta: JsonObject,
  { include, version, nowMs }: Readonly<{ include: IncludeObject; version: string; nowMs: number }>,
): JsonObject {
  const columns = columnsOf(kind)
  return {
    kind: 'Table',
    apiVersion: version,
    metadata: listMeta,
    columnDefinitions: columns.map((column) => ({
      name: column.name,
      type: column.type === 'date' ? 'string' : column.type,
      format: column.path === 'metadata.name' ? 'name' : '',
      description: '',
      priority: column.wide ? 1 : 0,
    })),
    rows: docs.map((doc) => ({
      cells: columns.map((column) => cell(column, doc, nowMs)),
      ...(include !== 'None' && { object: carried(doc, include, version) }),
    })),
  }
}

/** The name comes first, unless the kind says itself where it wants it. */
function columnsOf(kind: Kind): readonly Column[] {
  if (kind.columns.some((column) => column.path === 'metadata.name')) return kind.columns
  return [{ name: 'Name', type: 'string', path: 'metadata.name' }, ...kind.columns]
}

function carried(doc: Doc, include: IncludeObject, version: string): JsonObject {
  if (include === 'Object') return doc
  return {
    kind: 'PartialObjectMetadata',
    apiVersion: version,
    metadata: doc.metadata,
  }
}

function cell(column: Column, doc: JsonObject, nowMs: number): string | number | boolean | null {
  if (column.cell) return column.cell(doc)
  const value = at(doc, column.path) ?? (column.or === undefined ? undefined : at(doc, column.or))
  if (column.condition) {
    const conditions = Array.isArray(value) ? value.filter(isObject) : []
    const { status } = conditions.find(({ type }) => type === column.condition) ?? {}
    return typeof status === 'string' ? status : ''
  }
  if (column.type === 'date') return typeof value === 'string' ? age(nowMs - Date.parse(value)) : '<unknown>'
  if (value === undefined || value === null) return ''
  const isPlain = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
  return isPlain ? value : JSON.stringify(value)
}

function at(doc: JsonObject, path: string): unknown {
  let value: unknown = doc
  for (const key of path.split('.')) {
    if (Array.isArray(value)) value = value[Number(key)]
    else value = isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined
  }
  return value
}

/** A duration as kubectl prints it: `5s`, `3m12s`, `47m`, `5h3m`, `2d`, `3y`. Clocks may differ by a second. */
export function age(ms: number): string {
  if (!(ms > -2000)) return '<invalid>'
  const s = Math.max(0, Math.floor(ms / 1000))
  const m = Math.floor(s / 60)
  const h = Math.floor(m / 60)
  const d = Math.floor(h / 24)
  const pair = (big: number, bigUnit: string, small: number, smallUnit: string) =>
    small ? `${big}${bigUnit}${small}${smallUnit}` : `${big}${bigUnit}`
  if (s < 120) return `${s}s`
  if (m < 10) return pair(m, 'm', s % 60, 's')
  if (m < 180) return `${m}m`
  if (h < 8) return pair(h, 'h', m % 60, 'm')
  if (h < 48) return `${h}h`
  if (d < 8) return pair(d, 'd', h % 24, 'h')
  if (d < 730) return `${d}d`
  const y = Math.floor(d / 365)
  return y < 8 ? pair(y, 'y', d % 365, 'd') : `${y}y`
}
