import { isBuiltIn, type Kind } from '#apis/meta/object.ts'
import { isTime, microPattern } from '#apis/meta/time.ts'
import { isList, isObject, type Json, type JsonObject } from '#base/json.ts'
import { timestamp } from '#base/time.ts'
import { dotted, schemaBelow } from './validate.ts'

/** Most unknown fields of one object that are named; the others are counted. */
const maxUnknown = 100

type Path = (string | number)[]

/** Fields that no schema knows: the paths of the first ones, and how many more there are. */
export type Unknown = { readonly paths: string[]; more: number }

/**
 * An object as its kind's Go type would hold it: without fields that the schema does not know, which are reported by their dot
 * paths, and without nulls. A null means that the field is absent, unless the schema has it `nullable`; in lists and maps of
 * the kinds built into Kubernetes it is the empty value, because Go decodes it so, and in lists of others it is left to
 * validation (apiextensions-apiserver's PruneNonNullableNullsWithoutDefaults). Times of built-in kinds are written as Go writes
 * them. Metadata is left alone: the machinery validates it itself.
 */
export function decoded({ group, schema }: Kind, object: JsonObject): { object: JsonObject; unknown: Unknown } {
  const { metadata, ...rest } = object
  const decoder = new Decoder(isBuiltIn({ group }))
  const value = decoder.value(schema, rest)
  return {
    object: { ...(isObject(value) && value), ...(metadata !== undefined && { metadata }) },
    unknown: decoder.unknown,
  }
}

/** What fields are that a schema says nothing about. */
const unspecified: JsonObject = { 'x-kubernetes-preserve-unknown-fields': true }

class Decoder {
  readonly unknown: Unknown = { paths: [], more: 0 }
  readonly #isBuiltIn: boolean
  readonly #path: Path = []

  constructor(isBuiltIn: boolean) {
    this.#isBuiltIn = isBuiltIn
  }

  /** A value as the schema knows it; the value itself when nothing is dropped. */
  value(schema: JsonObject, value: Json): Json {
    if (isList(value)) return this.#list(isObject(schema.items) ? schema.items : unspecified, value)
    if (!isObject(value)) return value
    const isLoose = schema['x-kubernetes-preserve-unknown-fields'] === true || isUnspecified(schema)
    // Made only when something is dropped, which is rare.
    let kept: Map<string, Json | undefined> | undefined
    for (const key of Object.keys(value)) {
      const item = value[key]
      const known = schemaBelow(schema, key) ?? (isLoose ? unspecified : undefined)
      if (!known) this.#report(key)
      const below = !known ? undefined : item === null ? this.#nullIn(schema, known) : this.#below(known, item, key)
      if (below === item) continue
      kept ??= new Map(Object.entries(value))
      if (below === undefined) kept.delete(key)
      else kept.set(key, below)
    }
    return kept ? Object.fromEntries(kept) : value
  }

  #list(items: JsonObject, list: readonly Json[]): Json {
    let values: Json[] | undefined
    for (let i = 0; i < list.length; i++) {
      const item = list[i] ?? null
      const value = item === null ? this.#nullItem(items) : (this.#below(items, item, i) ?? item)
      if (value === item) continue
      values ??= [...list]
      values[i] = value
    }
    return values ?? list
  }

  #below(schema: JsonObject, item: Json | undefined, step: string | number): Json | undefined {
    if (typeof item === 'string' && this.#isBuiltIn && schema.format === 'date-time') return asGoWrites(schema, item)
    if (typeof item !== 'object' || item === null) return item
    this.#path.push(step)
    const value = this.value(schema, item)
    this.#path.pop()
    return value
  }

  /** What a field or a value of a map is that is null. */
  #nullIn(parent: JsonObject, schema: JsonObject): Json | undefined {
    if (schema.nullable === true) return null
    const isValueOfMap = !isObject(parent.properties) && isObject(parent.additionalProperties)
    return this.#isBuiltIn && isValueOfMap ? emptyOf(schema) : undefined
  }

  #nullItem(schema: JsonObject): Json {
    return this.#isBuiltIn && schema.nullable !== true ? emptyOf(schema) : null
  }

  #report(key: string): void {
    if (this.unknown.paths.length < maxUnknown) this.unknown.paths.push(dotted([...this.#path, key]))
    else this.unknown.more++
  }
}

/**
 * A time as metav1.Time and MicroTime write it: in UTC, of whole seconds or with six digits below. What is no time is left to
 * validation, and a moment that has no such text (its year in UTC is not of four digits) to itself.
 */
function asGoWrites({ pattern }: JsonObject, text: string): string {
  const ms = isTime(text) ? Date.parse(text.replace(/[.,]\d+/, '')) : Number.NaN
  const whole = Number.isNaN(ms) ? '' : timestamp(ms)
  if (!/^\d{4}-/.test(whole)) return text
  if (pattern !== microPattern) return whole
  const micros = /[.,](\d{6})/.exec(text)?.[1]
  return micros === undefined ? text : whole.replace('Z', `.${micros}Z`)
}

/** Whether a schema lists no fields at all. */
function isUnspecified({ properties, additionalProperties }: JsonObject): boolean {
  return !isObject(properties) && !isObject(additionalProperties)
}

/** What Go makes of a null where a value has to be: the zero value of its type. */
function emptyOf(schema: JsonObject): Json {
  switch (schema.type) {
    case 'string':
      return ''
    case 'integer':
    case 'number':
      return 0
    case 'boolean':
      return false
    case 'object':
      return {}
    case 'array':
      return []
    default:
      return schema['x-kubernetes-int-or-string'] === true ? '0' : null
  }
}
