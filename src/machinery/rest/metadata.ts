import type { FieldError, ObjectMeta } from '#apis/meta/object.ts'
import { isObject, type JsonObject } from '#base/json.ts'

const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/
const label = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/
const segment = /^(?!\.{1,2}$)[^/%]+$/
const segmentRule = "may not be '.' or '..' nor contain '/' or '%'"
const labelValue = /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/
const labelKey = /^([a-z0-9]([-a-z0-9.]*[a-z0-9])?\/)?([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/

/** Whether a text can be the key of a label. */
export function isLabelKey(text: string): boolean {
  return labelKey.test(text)
}

/** Whether a text is a qualified name, as finalizers are: like the key of a label, with its limits. */
function isQualifiedName(text: string): boolean {
  const [name = '', prefix = ''] = text.split('/').reverse()
  return labelKey.test(text) && name.length <= 63 && prefix.length <= 253
}

/** Most bytes of all annotations together (Kubernetes' limit). */
const maxAnnotationBytes = 256 * 1024

const subdomainRule =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
const labelRule =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"

/** Everything wrong with the metadata a client sent. Namespaces must be labels, other names may contain dots, and
 * those with `anySegment` whatever fits into a path. */
export function metadataErrors(
  meta: ObjectMeta,
  { isNamespace, anySegment = false }: { isNamespace: boolean; anySegment?: boolean },
): FieldError[] {
  const errors: FieldError[] = []
  const bad = (field: string, message: string) =>
    errors.push({ field: `metadata.${field}`, message, reason: 'FieldValueInvalid' })
  const name: unknown = meta.name ?? ''
  const [pattern, rule, max] = isNamespace
    ? ([label, labelRule, 63] as const)
    : anySegment
      ? ([segment, segmentRule, 253] as const)
      : ([subdomain, subdomainRule, 253] as const)
  if (name === '')
    errors.push({
      field: 'metadata.name',
      message: 'Required value: name or generateName is required',
      reason: 'FieldValueRequired',
    })
  else if (typeof name !== 'string') bad('name', `Invalid value: ${JSON.stringify(name)}: must be a string`)
  else if (!pattern.test(name)) bad('name', `Invalid value: "${name}": ${rule}`)
  else if (name.length > max) bad('name', `Invalid value: "${name}": must be no more than ${max} characters`)
  for (const map of ['labels', 'annotations'] as const) {
    const entries = meta[map]
    if (entries === undefined || entries === null) continue
    if (!isObject(entries)) {
      bad(map, 'Invalid value: must be a map of strings')
      continue
    }
    for (const [key, value] of Object.entries(entries)) {
      if (typeof value !== 'string') bad(map, `Invalid value: "${key}": the value must be a string; write it in quotes`)
      else if (map === 'labels' && (!labelValue.test(value) || value.length > 63))
        bad(
          map,
          `Invalid value: "${value}": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character`,
        )
      if (!labelKey.test(key) || (key.split('/').at(-1) ?? '').length > 63)
        bad(
          map,
          `Invalid value: "${key}": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character`,
        )
    }
    if (map === 'annotations' && Buffer.byteLength(JSON.stringify(entries)) > maxAnnotationBytes)
      bad(map, `Too long: may not be more than ${maxAnnotationBytes} bytes`)
  }
  return [...errors, ...finalizerErrors(meta.finalizers), ...ownerErrors(meta.ownerReferences)]
}

function finalizerErrors(finalizers: unknown): FieldError[] {
  if (finalizers === undefined) return []
  const message = 'Invalid value: must be a list of qualified names, such as example.com/keep-me'
  const isNames =
    Array.isArray(finalizers) && finalizers.every((one) => typeof one === 'string' && isQualifiedName(one))
  return isNames ? [] : [{ field: 'metadata.finalizers', message, reason: 'FieldValueInvalid' }]
}

/** What every owner reference must say. */
const ownerFields = ['apiVersion', 'kind', 'name', 'uid'] as const

function ownerErrors(owners: unknown): FieldError[] {
  if (owners === undefined) return []
  if (!Array.isArray(owners))
    return [
      { field: 'metadata.ownerReferences', message: 'Invalid value: must be a list', reason: 'FieldValueInvalid' },
    ]
  return owners.flatMap((owner: unknown, i) =>
    ownerFields.flatMap((name): FieldError[] => {
      const value = isObject(owner) ? owner[name] : undefined
      if (typeof value === 'string' && value) return []
      const field = `metadata.ownerReferences[${i}].${name}`
      return [{ field, message: 'Invalid value: must be a string that is not empty', reason: 'FieldValueInvalid' }]
    }),
  )
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

/** Paths of fields in the metadata a client sent that do not exist. */
export function unknownMetadata(meta: JsonObject): string[] {
  return Object.keys(meta)
    .filter((name) => !isMetadataField(name))
    .map((name) => `metadata.${name}`)
}

/** The parts of metadata a client may set; what the server decides is dropped. */
export function clientMetadata(meta: JsonObject): JsonObject {
  const { name, namespace, labels, annotations, finalizers, ownerReferences } = meta
  const set = {
    name,
    namespace,
    labels: nonEmpty(labels),
    annotations: nonEmpty(annotations),
    finalizers: nonEmpty(finalizers),
    ownerReferences: nonEmpty(ownerReferences),
  }
  return Object.fromEntries(Object.entries(set).filter(([, value]) => value !== undefined && value !== null))
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
