import { load as parseYaml } from 'js-yaml'
import { Fault } from '#base/fault.ts'
import { isObject, type Json, type JsonObject } from '#base/json.ts'
import type { IncludeObject } from './table.ts'

/** The query of a request, each name once. */
export type Query = Readonly<Record<string, string | undefined>>

/** True for `1`, `true` and a bare name, as the Kubernetes API server reads booleans. */
export function flag(value: string | undefined): boolean {
  return value !== undefined && value !== '0' && value.toLowerCase() !== 'false'
}

/** Whether the client wants rows and columns instead of objects, and how much of each object beside them. */
export function wantsTable(accept: string | undefined, query: Query): IncludeObject | undefined {
  if (!/as=Table/.test(accept ?? '')) return undefined
  const include = query.includeObject
  return include === 'None' || include === 'Object' ? include : 'Metadata'
}

/**
 * A body as a JSON value; YAML is accepted where the content type says so.
 * @throws Fault BadRequest for text that is neither, Unsupported for another type.
 */
export function parseBody(contentType: string, body: Buffer | undefined): Json {
  const text = body?.toString('utf8') ?? ''
  try {
    if (contentType === 'application/yaml') return parseYaml(text) as Json
    if (contentType === '' || /[/+]json$/.test(contentType)) return JSON.parse(text) as Json
  } catch (error) {
    const [first] = String(error instanceof Error ? error.message : error).split('\n')
    throw new Fault('BadRequest', `the body of the request is not well-formed: ${first}`)
  }
  throw new Fault(
    'Unsupported',
    `the body of the request was in an unknown format (${contentType}) - accepted media types include: application/json, application/yaml`,
  )
}

/** A body that must be an object. @throws Fault BadRequest */
export function objectBody(contentType: string, body: Buffer | undefined): JsonObject {
  const value = parseBody(contentType, body)
  if (!isObject(value)) throw new Fault('BadRequest', 'the body of the request must be an object')
  return value
}

/** @throws Fault BadRequest for anything but the one dry-run mode there is. */
export function dryRunOf(query: Query, body?: Json): boolean {
  const inBody = isObject(body) && Array.isArray(body.dryRun) ? body.dryRun[0] : undefined
  const value = query.dryRun ?? inBody
  if (value === undefined || value === '') return false
  if (value !== 'All')
    throw new Fault('BadRequest', `dryRun: Unsupported value: "${String(value)}": supported values: "All"`)
  return true
}

/** What to do about unknown fields; the server's default is a warning. @throws Fault BadRequest */
export function fieldValidationOf(query: Query): 'Strict' | 'Warn' | 'Ignore' {
  const value = query.fieldValidation
  if (value === undefined || value === '') return 'Warn'
  if (value === 'Strict' || value === 'Warn' || value === 'Ignore') return value
  throw new Fault(
    'BadRequest',
    `fieldValidation: Unsupported value: "${value}": supported values: "Ignore", "Strict", "Warn"`,
  )
}
