import { load as parseYaml } from 'js-yaml'
import { Fault } from '#base/fault.ts'
import { isObject, type Json, type JsonObject } from '#base/json.ts'
import { hasMoreValues, maxBodyValues, requireShortYaml } from './body-limits.ts'
import { duplicateFields } from './duplicates.ts'
import { decodeObject, type Expected, protobufType } from './protobuf.ts'

/** The query of a request, each name once. */
export type Query = Readonly<Record<string, string | undefined>>

/** The query as a record; of a name that comes more than once the first counts. */
export function queryOf(search: string): Query {
  const query = new Map<string, string>()
  for (const [name, value] of new URLSearchParams(search)) if (!query.has(name)) query.set(name, value)
  return Object.fromEntries(query)
}

/** Deepest nesting of a value we take; recursion over it is safe. Ours nest some fifteen deep. */
const maxDepth = 200
/** Most values of what a patch makes. */
const maxValues = 1024 * 1024
/** Most characters of all strings and names in one body. */
const maxCharacters = 3 * 1024 * 1024

/**
 * `most` is how many values are taken.
 * @throws Fault BadRequest for a value that is nested too deeply or is no JSON, TooLarge for one that has too many values or
 *   characters when it is written out (YAML aliases can make much of little).
 */
export function requireWithinLimits(value: unknown, most = maxValues): void {
  let [values, characters] = [most, maxCharacters]
  const visit = (at: unknown, depth: number): void => {
    if (depth > maxDepth) throw new Fault('BadRequest', `the body is nested deeper than ${maxDepth} levels`)
    if (--values < 0) throw tooManyValues(most)
    if (typeof at === 'number' && !Number.isFinite(at)) throw new Fault('BadRequest', 'the body has a number too large')
    if (typeof at === 'string') characters -= at.length
    if (characters < 0) throw new Fault('TooLarge', `the body has more than ${maxCharacters} characters`)
    if (typeof at !== 'object' || at === null) return
    if (Array.isArray(at)) for (const item of at) visit(item, depth + 1)
    else
      for (const [name, below] of Object.entries(at)) {
        characters -= name.length
        visit(below, depth + 1)
      }
  }
  visit(value, 0)
}

function tooManyValues(most: number): Fault {
  return new Fault('TooLarge', `the body has more than ${most} values`)
}

/** True for `1`, `true` and a bare name, as the Kubernetes API server reads booleans. */
export function flag(value: string | undefined): boolean {
  return value !== undefined && value !== '0' && value.toLowerCase() !== 'false'
}

/** A whole number of the query that is not negative. @throws Fault BadRequest */
export function countOf(query: Query, name: string): number | undefined {
  const text = query[name]
  if (text === undefined || text === '') return undefined
  if (!/^\d{1,15}$/.test(text))
    throw new Fault('BadRequest', `${name}: Invalid value: "${text}": must be a whole number`)
  return Number(text)
}

type OptionsKind = 'ListOptions' | 'CreateOptions' | 'UpdateOptions' | 'PatchOptions' | 'DeleteOptions'

/** What is wrong with an option, by the first word of the message. */
const optionReasons: ReadonlyMap<string, string> = new Map([
  ['Required', 'FieldValueRequired'],
  ['Forbidden', 'FieldValueForbidden'],
  ['Unsupported', 'FieldValueNotSupported'],
])

/** An option of a request that is wrong, as one 422 of the options' own kind. */
export function invalidOption(kind: OptionsKind, field: string, message: string): Fault {
  const [word = ''] = message.split(/[ :]/, 1)
  const reason = optionReasons.get(word) ?? 'FieldValueInvalid'
  const details = { group: 'meta.k8s.io', kind, causes: [{ reason, message, field }] }
  return new Fault('Invalid', `${kind}.meta.k8s.io "" is invalid: ${field}: ${message}`, { data: { details } })
}

/**
 * A body as a JSON value; YAML is accepted where the content type says so. `expected` is the kind of the path.
 * @throws Fault BadRequest for malformed text, Unsupported for another type.
 */
export function parseBody(contentType: string, body: Buffer | undefined, expected?: Expected): Json {
  const parse = parserOf(contentType, expected)
  if (!parse)
    throw new Fault(
      'Unsupported',
      `the body of the request was in an unknown format (${contentType}) - accepted media types include: application/json, application/yaml`,
    )
  let value: Json
  try {
    value = parse(body ?? Buffer.alloc(0))
  } catch (error) {
    if (error instanceof Fault) throw error
    const [first] = String(error instanceof Error ? error.message : error).split('\n')
    throw new Fault('BadRequest', `the body of the request is not well-formed: ${first}`)
  }
  requireWithinLimits(value, maxBodyValues)
  return value
}

/** Whether a body of this type is read as JSON. */
export function isJson(contentType: string): boolean {
  return contentType === '' || /[/+]json$/.test(contentType)
}

function parserOf(contentType: string, expected: Expected): ((body: Buffer) => Json) | undefined {
  if (isJson(contentType)) return parseJson
  if (contentType === 'application/yaml') return jsonOrYaml
  if (contentType === protobufType) return (body) => decodeObject(body, expected)
  return undefined
}

/** JSON is YAML, and read faster as what it is. @throws Fault TooLarge for what would take long to read */
function jsonOrYaml(body: Buffer): Json {
  const text = body.toString('utf8')
  const value = /^\s*[{[]/.test(text) ? ifJson(body) : undefined
  if (value !== undefined) {
    // As in YAML, no mapping has a key twice.
    const [twice] = duplicateFields(text).paths
    if (twice !== undefined) throw new Fault('BadRequest', `the body of the request has "${twice}" twice`)
    return value
  }
  requireShortYaml(body)
  return parseYaml(text) as Json
}

/** The value of a JSON text; undefined for other texts, which may begin like one. */
function ifJson(body: Buffer): Json | undefined {
  try {
    return parseJson(body)
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

/** @throws Fault TooLarge for too many values: other requests must not wait until all are read */
function parseJson(body: Buffer): Json {
  if (hasMoreValues(body, maxBodyValues)) throw tooManyValues(maxBodyValues)
  return JSON.parse(body.toString('utf8'))
}

/** A body that must be an object. @throws Fault BadRequest */
export function objectBody(contentType: string, body: Buffer | undefined, expected?: Expected): JsonObject {
  const value = parseBody(contentType, body, expected)
  if (!isObject(value)) throw new Fault('BadRequest', 'the body of the request must be an object')
  return value
}

/** What the options of a write are called, by its method. */
const optionsKinds: Readonly<Record<string, OptionsKind>> = {
  POST: 'CreateOptions',
  PUT: 'UpdateOptions',
  PATCH: 'PatchOptions',
  DELETE: 'DeleteOptions',
}

/** Whether a write by `method` is only to be tried, by its query or its body. @throws Fault Invalid for another mode */
export function dryRunOf(method: string, query: Query, body?: Json): boolean {
  const inBody = isObject(body) && Array.isArray(body.dryRun) ? body.dryRun[0] : undefined
  const value = query.dryRun ?? inBody
  if (value === undefined || value === '') return false
  if (value === 'All') return true
  const shown = `[]string{${JSON.stringify(String(value))}}`
  throw invalidOption(
    optionsKinds[method] ?? 'CreateOptions',
    'dryRun',
    `Unsupported value: ${shown}: supported values: "All"`,
  )
}

/** What to do about unknown fields; the server's default is a warning. @throws Fault Invalid */
export function fieldValidationOf(method: string, query: Query): 'Strict' | 'Warn' | 'Ignore' {
  const value = query.fieldValidation
  if (value === undefined || value === '') return 'Warn'
  if (value === 'Strict' || value === 'Warn' || value === 'Ignore') return value
  throw invalidOption(
    optionsKinds[method] ?? 'CreateOptions',
    'fieldValidation',
    `Unsupported value: ${JSON.stringify(value)}: supported values: "Ignore", "Strict", "Warn"`,
  )
}
