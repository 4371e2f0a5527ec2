import { isLabelKey } from '#apis/meta/labels.ts'
import type { Kind } from '#apis/meta/object.ts'
import { isSelected, type Requirement } from '#apis/meta/selector.ts'
import { Fault } from '#base/fault.ts'
import { isObject, type JsonObject } from '#base/json.ts'
import { isMetadataField } from './metadata.ts'

/** Whether an object is selected. */
export type Selector = (object: JsonObject) => boolean

const all: Selector = () => true

/** Most requirements of one selector: each is checked for each object. */
const maxTerms = 500

/** The selector of a request. @throws Fault BadRequest for a malformed one */
export function parseSelectors(
  {
    labelSelector,
    fieldSelector,
  }: Readonly<{ labelSelector?: string | undefined; fieldSelector?: string | undefined }>,
  kind: Kind,
): Selector {
  const byLabel = parseLabelSelector(labelSelector)
  const byField = parseFieldSelector(fieldSelector, kind)
  return (object) => byLabel(object) && byField(object)
}

/**
 * Parses kubectl's `-l` syntax: `a=b,c!=d,e,!f,g in (h,i),j notin (k)`.
 * @throws Fault BadRequest naming the part that is not understood.
 */
export function parseLabelSelector(text: string | undefined): Selector {
  if (!text?.trim()) return all
  const requirements = requireFew(splitOutsideParentheses(text)).map(labelRequirement)
  return (object) => {
    const labels = metadataOf(object).labels
    return isSelected(requirements, isObject(labels) ? labels : {})
  }
}

function labelRequirement(part: string): Requirement {
  const [, setKey = '', word, list = ''] = /^([^\s!=()]+)\s+(in|notin)\s*\(([^)]*)\)$/.exec(part) ?? []
  if (isLabelKey(setKey)) {
    const values = new Set(list.split(',').map((value) => value.trim()))
    return { key: setKey, operator: word === 'in' ? 'In' : 'NotIn', values }
  }
  const [, key = '', operator, value = ''] = /^([^\s!=()]+)\s*(==|=|!=)\s*([^\s!=(),]*)$/.exec(part) ?? []
  if (isLabelKey(key)) {
    return { key, operator: operator === '!=' ? 'NotIn' : 'In', values: new Set([value]) }
  }
  const [, not, name = ''] = /^(!?)\s*([^\s!=(),]+)$/.exec(part) ?? []
  if (isLabelKey(name)) return { key: name, operator: not ? 'DoesNotExist' : 'Exists', values: new Set() }
  throw new Fault('BadRequest', `unable to parse requirement of label selector: "${part.slice(0, maxShown)}"`)
}

/** Longest part of a selector repeated in a message, characters. */
const maxShown = 1024

/** @throws Fault BadRequest */
function requireFew(parts: readonly string[]): readonly string[] {
  if (parts.length <= maxTerms) return parts
  throw new Fault('BadRequest', `the selector has ${parts.length} requirements; at most ${maxTerms} are taken`)
}

function splitOutsideParentheses(text: string): string[] {
  const parts: string[] = []
  let [from, isInside] = [0, false]
  for (let at = 0; at < text.length; at++) {
    const letter = text[at]
    if (letter === '(') isInside = true
    else if (letter === ')') isInside = false
    else if (letter === ',' && !isInside) {
      parts.push(text.slice(from, at).trim())
      from = at + 1
    }
  }
  return [...parts, text.slice(from).trim()]
}

/**
 * Parses `--field-selector` syntax, `path=value` and `path!=value`, over any scalar field of the kind.
 * @throws Fault BadRequest naming the part that is not understood, or the field that the kind does not have: a misspelt
 * path with `!=` would select everything.
 */
export function parseFieldSelector(text: string | undefined, kind: Kind): Selector {
  if (!text?.trim()) return all
  const parts = requireFew(text.split(',')).map((part) => {
    const [, field = '', operator, value = ''] = /^\s*([\w.[\]/-]+?)\s*(==|=|!=)(.*)$/.exec(part) ?? []
    if (!field)
      throw new Fault(
        'BadRequest',
        `invalid field selector: "${part.slice(0, maxShown)}"; write PATH=VALUE or PATH!=VALUE`,
      )
    const path = field.split('.')
    if (!hasScalar(kind, path)) throw new Fault('BadRequest', `field label not supported: ${field.slice(0, maxShown)}`)
    return { path, equal: operator !== '!=', value: value.trim() }
  })
  return (object) => parts.every(({ path, equal, value }) => (scalarAt(object, path) === value) === equal)
}

function hasScalar(kind: Kind, path: readonly string[]): boolean {
  const [root, name = ''] = path
  if (root === 'metadata') return path.length === 2 && isMetadataField(name)
  let at: unknown = kind.schema
  for (const key of path) {
    if (!isObject(at)) return false
    if (at['x-kubernetes-preserve-unknown-fields'] === true) return true
    const { properties, additionalProperties } = at
    at = isObject(properties) && Object.hasOwn(properties, key) ? properties[key] : additionalProperties
  }
  return isObject(at) && at.type !== 'object' && at.type !== 'array'
}

function scalarAt(object: JsonObject, path: readonly string[]): string {
  let at: unknown = object
  for (const key of path) at = isObject(at) && Object.hasOwn(at, key) ? at[key] : undefined
  return at === undefined || at === null ? '' : String(at)
}

function metadataOf(object: JsonObject): JsonObject {
  return isObject(object.metadata) ? object.metadata : {}
}
