import { cut, isLabelKey, mapErrors, tooMany } from '#apis/meta/labels.ts'
import { dnsLabel, dnsSubdomain } from '#apis/meta/names.ts'
import { apiVersionOf, type FieldError, type Kind, maxErrors, type ObjectMeta } from '#apis/meta/object.ts'
import { Fault } from '#base/fault.ts'
import { isList, isObject, type Json, type JsonObject } from '#base/json.ts'

const segment = { pattern: /^(?!\.{1,2}$)[^/%]+$/, rule: "may not be '.' or '..' nor contain '/' or '%'", max: 253 }
/** Most finalizers, and most owners, of one object. */
const maxHolders = 100

/**
 * All errors of the metadata a client sent. Namespaces must be labels, other names may contain dots, and those with
 * `anySegment` whatever fits into a path.
 */
export function metadataErrors(
  meta: ObjectMeta,
  { isNamespace, anySegment = false }: { isNamespace: boolean; anySegment?: boolean },
): FieldError[] {
  const errors: FieldError[] = []
  const bad = (field: string, message: string) =>
    errors.push({ field: `metadata.${field}`, message, reason: 'FieldValueInvalid' })
  const name: unknown = meta.name ?? ''
  const { pattern, rule, max } = isNamespace ? dnsLabel : anySegment ? segment : dnsSubdomain
  if (name === '')
    errors.push({
      field: 'metadata.name',
      message: 'Required value: name or generateName is required',
      reason: 'FieldValueRequired',
    })
  else if (typeof name !== 'string') bad('name', `Invalid value: ${JSON.stringify(name)}: must be a string`)
  else if (name.length > max) bad('name', `Invalid value: "${cut(name)}": must be no more than ${max} characters`)
  else if (!pattern.test(name)) bad('name', `Invalid value: "${name}": ${rule}`)
  return [
    ...errors,
    ...mapErrors('metadata', 'labels', meta.labels),
    ...mapErrors('metadata', 'annotations', meta.annotations),
    ...finalizerErrors(meta.finalizers),
    ...ownerErrors(meta.ownerReferences),
  ]
}

function finalizerErrors(finalizers: unknown): FieldError[] {
  if (finalizers === undefined) return []
  const bad = (message: string): FieldError[] => [
    { field: 'metadata.finalizers', message, reason: 'FieldValueInvalid' },
  ]
  if (Array.isArray(finalizers) && finalizers.length > maxHolders) return bad(tooMany(finalizers.length, maxHolders))
  const isNames = Array.isArray(finalizers) && finalizers.every((one) => typeof one === 'string' && isLabelKey(one))
  return isNames ? [] : bad('Invalid value: must be a list of qualified names, such as example.com/keep-me')
}

/** A terminating object gets no new finalizers. */
export function newFinalizerErrors(next: ObjectMeta, current: ObjectMeta): FieldError[] {
  if (!current.deletionTimestamp || !Array.isArray(next.finalizers)) return []
  const before = new Set(current.finalizers)
  const added = next.finalizers.filter((one) => !before.has(one))
  if (!added.length) return []
  const list = added.map((one) => JSON.stringify(one)).join(', ')
  const message = `Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{${list}}`
  return [{ field: 'metadata.finalizers', message, reason: 'FieldValueForbidden' }]
}

/** What every owner reference must say. */
const ownerFields = ['apiVersion', 'kind', 'name', 'uid'] as const

function ownerErrors(owners: unknown): FieldError[] {
  if (owners === undefined) return []
  const refused = (message: string): FieldError[] => [
    { field: 'metadata.ownerReferences', message, reason: 'FieldValueInvalid' },
  ]
  if (!Array.isArray(owners)) return refused('Invalid value: must be a list')
  if (owners.length > maxHolders) return refused(tooMany(owners.length, maxHolders))
  return owners.flatMap((owner: unknown, i) =>
    ownerFields.flatMap((name): FieldError[] => {
      const value = isObject(owner) ? owner[name] : undefined
      if (typeof value === 'string' && value) return []
      const field = `metadata.ownerReferences[${i}].${name}`
      return [{ field, message: 'Invalid value: must be a string that is not empty', reason: 'FieldValueInvalid' }]
    }),
  )
}

/** The metadata of an object that says it is of a kind, or says nothing. @throws Fault BadRequest */
export function requireHeader(kind: Kind, input: JsonObject): JsonObject {
  const [apiVersion, sentKind, metadata] = [input.apiVersion, input.kind, input.metadata].map((one) => one ?? undefined)
  const want = apiVersionOf(kind)
  if ((apiVersion !== undefined && apiVersion !== want) || (sentKind !== undefined && sentKind !== kind.kind))
    throw new Fault(
      'BadRequest',
      `the API version and kind in the data (${apiVersion}, ${sentKind}) do not match the expected ones (${want}, ${kind.kind})`,
    )
  if (metadata === undefined) return {}
  if (!isObject(metadata)) throw new Fault('BadRequest', 'metadata must be an object')
  return metadata
}

/** How an object that is to be made is to be called. */
type Names = Readonly<Record<'name' | 'generateName' | 'namespace', string | undefined>>

/** The names in the metadata a client sent. @throws Fault BadRequest */
export function requireNames(meta: JsonObject): Names {
  const text = (field: keyof Names) => {
    const value = meta[field] ?? undefined
    if (value === undefined || typeof value === 'string') return value
    throw new Fault('BadRequest', `metadata.${field} must be a string`)
  }
  return { name: text('name'), generateName: text('generateName'), namespace: text('namespace') }
}

/**
 * @throws Fault BadRequest for an object that says it is in another namespace than the requested one. What objects without
 * namespaces say is of no meaning, as in Kubernetes.
 */
export function requireNamespaceOf(kind: Kind, sent: Json | undefined, requested: string | undefined): void {
  if (!kind.namespaced || !sent || requested === undefined || sent === requested) return
  throw new Fault('BadRequest', 'the namespace of the provided object does not match the namespace sent on the request')
}

/** Every field of metadata there is, also those that only the server sets. */
export const metadataFields: ReadonlySet<string> = new Set([
  'name',
  'generateName',
  'namespace',
  'selfLink',
  'uid',
  'resourceVersion',
  'generation',
  'creationTimestamp',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
  'labels',
  'annotations',
  'finalizers',
  'ownerReferences',
  'managedFields',
])

/** Whether metadata has a field of this name. */
export function isMetadataField(name: string): boolean {
  return metadataFields.has(name)
}

/** Paths of fields in the metadata a client sent that do not exist: the first ones, and how many more there are. */
export function unknownMetadata(meta: JsonObject): Readonly<{ paths: readonly string[]; more: number }> {
  const names = Object.keys(meta).filter((name) => !isMetadataField(name))
  const paths = names.slice(0, maxErrors).map((name) => `metadata.${name}`)
  return { paths, more: names.length - paths.length }
}

/** The parts of metadata a client may set; what the server decides is dropped, the namespace among it. */
export function clientMetadata(meta: JsonObject): JsonObject {
  const { name, labels, annotations, finalizers, ownerReferences } = meta
  const set = {
    name,
    labels: nonEmpty(textsOf(labels)),
    annotations: nonEmpty(textsOf(annotations)),
    finalizers: nonEmpty(finalizers),
    ownerReferences: nonEmpty(ownersOf(ownerReferences)),
  }
  return Object.fromEntries(Object.entries(set).filter(([, value]) => value !== undefined && value !== null))
}

/** Labels or annotations as Go decodes them: a null is an empty text. */
function textsOf(value: Json | undefined): Json | undefined {
  if (!isObject(value) || !Object.values(value).includes(null)) return value
  return Object.fromEntries(Object.entries(value).map(([name, text]) => [name, text === null ? '' : text]))
}

/** Owners without nulls, which are absent fields. */
function ownersOf(value: Json | undefined): Json | undefined {
  if (!isList(value)) return value
  return value.map((owner) =>
    isObject(owner) && Object.values(owner).includes(null)
      ? Object.fromEntries(Object.entries(owner).filter(([, field]) => field !== null))
      : owner,
  )
}

/** Empty lists and maps mean the same as none. Values of a wrong type stay, to be refused. */
function nonEmpty<T>(value: T): T | undefined {
  if (value === null || value === undefined) return undefined
  if (Array.isArray(value)) return value.length ? value : undefined
  if (isObject(value)) return Object.keys(value).length ? value : undefined
  return value
}

/** Letters that cannot form words nor be mistaken for each other, as Kubernetes uses for generated names. */
const letters = 'bcdfghjklmnpqrstvwxz2456789'

/** `prefix` and five random letters. */
export function generatedName(prefix: string): string {
  const bytes = crypto.getRandomValues(new Uint8Array(5))
  return prefix.slice(0, 58) + Array.from(bytes, (byte) => letters[byte % letters.length]).join('')
}
