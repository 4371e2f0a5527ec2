import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv'
import type { FieldError, Kind, Schema } from '#apis/meta/object.ts'
import { isObject, type Json, type JsonObject } from '#base/json.ts'

const ajv = new Ajv({ allErrors: true, verbose: true, strict: false, validateSchema: false, inlineRefs: false })
ajv.addKeyword({
  keyword: 'x-kubernetes-int-or-string',
  validate: (on: boolean, value: unknown) => !on || typeof value === 'string' || typeof value === 'number',
})

const compiled = new WeakMap<Schema, ValidateFunction>()

/** Every value in `object` that does not fit the kind's schema. */
export function schemaErrors(kind: Kind, object: JsonObject): FieldError[] {
  const validate = compiled.get(kind.schema) ?? ajv.compile(kind.schema)
  compiled.set(kind.schema, validate)
  if (validate(object)) return []
  return (validate.errors ?? []).map(fieldError)
}

function fieldError(error: ErrorObject): FieldError {
  const at = dotted(error.instancePath)
  if (error.keyword === 'required') {
    const name = (error.params as { missingProperty: string }).missingProperty
    return { field: at ? `${at}.${name}` : name, message: 'Required value', reason: 'FieldValueRequired' }
  }
  if (error.keyword === 'enum') {
    const allowed = (error.params as { allowedValues: string[] }).allowedValues.map((value) => `"${value}"`)
    return {
      field: at,
      message: `Unsupported value: ${shown(error.data)}: supported values: ${allowed.join(', ')}`,
      reason: 'FieldValueNotSupported',
    }
  }
  if (error.keyword === 'maxItems') {
    const { limit } = error.params as { limit: number }
    const { length } = error.data as unknown[]
    return { field: at, message: `Too many: ${length}: must have at most ${limit} items`, reason: 'FieldValueInvalid' }
  }
  return { field: at, message: `Invalid value: ${unfit(error, at)}`, reason: 'FieldValueInvalid' }
}

/** What is wrong with a value, in the words of the Kubernetes API server. */
function unfit({ keyword, params, message, data }: ErrorObject, at: string): string {
  const wanted = keyword === 'type' ? String((params as { type: unknown }).type) : 'integer,string'
  if (keyword === 'type' || keyword === 'x-kubernetes-int-or-string')
    return `"${typeName(data)}": ${at} in body must be of type ${wanted}: "${typeName(data)}"`
  if (keyword === 'minimum')
    return `${shown(data)}: ${at} in body should be greater than or equal to ${(params as { limit: number }).limit}`
  return `${shown(data)}: ${message ?? keyword}`
}

/** Longest value repeated in a message, characters. */
const maxShown = 200

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'undefined'
  return text.length > maxShown ? `${text.slice(0, maxShown)}…` : text
}

function typeName(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'array'
  return Number.isInteger(value) ? 'integer' : typeof value
}

/** `/spec/x/0/name` as `spec.x[0].name`. */
function dotted(pointer: string): string {
  return pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .reduce((path, part) => (/^\d+$/.test(part) ? `${path}[${part}]` : path ? `${path}.${part}` : part), '')
}

/**
 * Drops every field the schema does not know and tells which they were (dot paths). Metadata is left alone: its fields are
 * the machinery's own business.
 */
export function pruneUnknown(schema: Schema, object: JsonObject): { object: JsonObject; unknown: string[] } {
  const unknown: string[] = []
  const { metadata, ...rest } = object
  const pruned = walk(schema as JsonObject, rest, '', unknown)
  return { object: { ...(pruned as JsonObject), ...(metadata !== undefined && { metadata }) }, unknown }
}

function walk(schema: JsonObject, value: Json, path: string, unknown: string[]): Json {
  if (Array.isArray(value)) {
    if (!isObject(schema.items)) return value
    return value.map((item, i) => walk(schema.items as JsonObject, item, `${path}[${i}]`, unknown))
  }
  if (!isObject(value) || schema['x-kubernetes-preserve-unknown-fields'] === true) return value
  const properties = isObject(schema.properties) ? schema.properties : undefined
  const others = isObject(schema.additionalProperties) ? schema.additionalProperties : undefined
  if (!properties && !others) return value
  const kept: [string, Json | undefined][] = []
  for (const [key, item] of Object.entries(value)) {
    const below = path ? `${path}.${key}` : key
    const known = properties && Object.hasOwn(properties, key) ? properties[key] : others
    if (!isObject(known)) unknown.push(below)
    else kept.push([key, item === undefined ? item : walk(known, item, below, unknown)])
  }
  return Object.fromEntries(kept)
}
