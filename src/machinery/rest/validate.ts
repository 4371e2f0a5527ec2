import { type FieldError, type Kind, maxErrors } from '#apis/meta/object.ts'
import { parseQuantity } from '#apis/meta/quantity.ts'
import { isTime } from '#apis/meta/time.ts'
import { isObject, isStrings, type Json, type JsonObject } from '#base/json.ts'

type Path = (string | number)[]

/** Values in `object` that do not fit the kind's schema: all of them, or one more than `maxErrors`. */
export function schemaErrors(kind: Kind, object: JsonObject): FieldError[] {
  const errors: FieldError[] = []
  check(kind.schema, object, [], errors)
  return errors
}

/**
 * The same, without what was wrong before in the same way: a rule that came later must not keep an object from being changed
 * elsewhere (Kubernetes' ratcheting validation).
 */
export function newSchemaErrors(kind: Kind, next: JsonObject, current: JsonObject | undefined): FieldError[] {
  const errors = schemaErrors(kind, next)
  if (!errors.length || !current) return errors
  const id = ({ field, message }: FieldError) => `${field}: ${message}`
  const before = new Set(schemaErrors(kind, current).map(id))
  return errors.filter((error) => !before.has(id(error)))
}

function check(schema: JsonObject, value: Json, path: Path, errors: FieldError[]): void {
  if (errors.length > maxErrors || (value === null && schema.nullable === true)) return
  const bad = (message: string, reason: FieldError['reason'] = 'FieldValueInvalid') =>
    errors.push({ field: dotted(path), message, reason })
  const { type, minimum } = schema
  const wanted = type ?? (schema['x-kubernetes-int-or-string'] === true ? 'integer,string' : undefined)
  if (typeof wanted === 'string' && !isOfType(wanted, value)) {
    const found = typeName(value)
    bad(`Invalid value: "${found}": ${dotted(path)} in body must be of type ${wanted}: "${found}"`)
  }
  if (Array.isArray(schema.enum) && !schema.enum.includes(value)) {
    const allowed = schema.enum.map((one) => `"${String(one)}"`).join(', ')
    bad(`Unsupported value: ${shown(value)}: supported values: ${allowed}`, 'FieldValueNotSupported')
  }
  const misfit = typeof value === 'string' ? formProblem(schema, value) : undefined
  if (misfit !== undefined) bad(`Invalid value: ${shown(value)}: ${dotted(path)} in body ${misfit}`)
  else if (typeof minimum === 'number' && isLess(value, minimum, schema.format))
    bad(`Invalid value: ${shown(value)}: ${dotted(path)} in body should be greater than or equal to ${minimum}`)
  if (Array.isArray(value)) checkItems(schema, value, path, errors)
  else if (isObject(value)) checkFields(schema, value, path, errors)
}

/** What a text is not that its schema wants; undefined when it fits. */
function formProblem({ format, pattern }: JsonObject, value: string): string | undefined {
  if (typeof pattern === 'string' && !patternOf(pattern).test(value)) return `should match '${pattern}'`
  const fits = typeof format === 'string' ? formats.get(format) : undefined
  return fits && !fits(value) ? `must be of type ${String(format)}: ${shown(value)}` : undefined
}

/** Formats that are checked; the others are for clients. */
const formats: ReadonlyMap<string, (text: string) => boolean> = new Map([
  ['date-time', isTime],
  ['quantity', (text) => parseQuantity(text) !== undefined],
])

/** Patterns of our own schemas, of which there are a few. */
const patterns = new Map<string, RegExp>()

function patternOf(pattern: string): RegExp {
  const known = patterns.get(pattern) ?? new RegExp(pattern)
  patterns.set(pattern, known)
  return known
}

function isLess(value: Json, minimum: number, format: Json | undefined): boolean {
  if (typeof value === 'number') return value < minimum
  const milli = format === 'quantity' ? parseQuantity(value)?.milli : undefined
  return milli !== undefined && milli < BigInt(minimum) * 1000n
}

function checkItems(schema: JsonObject, list: readonly Json[], path: Path, errors: FieldError[]): void {
  const { items, maxItems } = schema
  if (typeof maxItems === 'number' && list.length > maxItems) {
    const message = `Too many: ${list.length}: must have at most ${maxItems} items`
    errors.push({ field: dotted(path), message, reason: 'FieldValueInvalid' })
  } else if (isObject(items))
    for (const [i, item] of list.entries()) {
      if (errors.length > maxErrors) return
      path.push(i)
      check(items, item, path, errors)
      path.pop()
    }
}

function checkFields(schema: JsonObject, object: JsonObject, path: Path, errors: FieldError[]): void {
  for (const name of isStrings(schema.required) ? schema.required : [])
    if (!Object.hasOwn(object, name) || object[name] === undefined)
      errors.push({ field: dotted([...path, name]), message: 'Required value', reason: 'FieldValueRequired' })
  for (const name of Object.keys(object)) {
    if (errors.length > maxErrors) return
    const [value, below] = [object[name], schemaBelow(schema, name)]
    if (!below || value === undefined) continue
    path.push(name)
    check(below, value, path, errors)
    path.pop()
  }
}

/** The schema of a field; undefined without one. */
export function schemaBelow({ properties, additionalProperties }: JsonObject, name: string): JsonObject | undefined {
  const below = isObject(properties) && Object.hasOwn(properties, name) ? properties[name] : additionalProperties
  return isObject(below) ? below : undefined
}

function isOfType(type: string, value: Json): boolean {
  if (type === 'integer,string') return typeof value === 'string' || typeof value === 'number'
  return typeName(value) === type || (type === 'number' && typeof value === 'number')
}

/** Longest value repeated in a message, characters. */
const maxShown = 200

function shown(value: Json): string {
  // What is large need not be written out to be cut.
  if (typeof value === 'object' && value !== null) return `"${typeName(value)}"`
  const text = JSON.stringify(value)
  return text.length > maxShown ? `${text.slice(0, maxShown)}…` : text
}

function typeName(value: Json): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'array'
  return Number.isInteger(value) ? 'integer' : typeof value
}

/** Longest name repeated in a path, characters. */
const maxStep = 1024

/** `spec.x[0].name`. */
export function dotted(path: Readonly<Path>): string {
  let text = ''
  for (const step of path) text += typeof step === 'number' ? `[${step}]` : `${text && '.'}${step.slice(0, maxStep)}`
  return text
}
