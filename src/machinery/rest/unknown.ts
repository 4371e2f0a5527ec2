import type { Kind } from '#apis/meta/object.ts'
import { Fault } from '#base/fault.ts'
import { isObject, type JsonObject } from '#base/json.ts'
import { decoded } from './decode.ts'
import { duplicateFields } from './duplicates.ts'
import { unknownMetadata } from './metadata.ts'
import { suggestion } from './suggest.ts'

/** Most unknown fields of one object for which the right one is looked for. */
const maxSuggestions = 10
/** Longest path of an unknown field in a message, characters. */
const maxPath = 1024

type Options = Readonly<{ unknownFields?: 'Strict' | 'Warn' | 'Ignore'; warn?: (text: string) => void }>

/**
 * `doc` without unknown fields and without nulls (see decode.ts); `input` is what the client sent of it.
 * @throws Fault BadRequest naming the first of them and counting the others, for strict validation.
 */
export function withoutUnknown(kind: Kind, doc: JsonObject, input: JsonObject, options: Options): JsonObject {
  const { object, unknown } = decoded(kind, doc)
  const { paths, more } = unknownMetadata(isObject(input.metadata) ? input.metadata : {})
  const sentences = [...unknown.paths, ...paths].map((path, i) => sentenceOf(kind, path, i))
  const left = unknown.more + more
  if (left) sentences.push(`${left} more unknown fields`)
  tell(kind, sentences, options)
  return object
}

/**
 * The same for an applied configuration, `what`, which may have no unknown field, whatever is to be done about these elsewhere:
 * it could not be said who owns it. The text is structured-merge-diff's.
 * @throws Fault BadRequest naming them
 */
export function requireKnown(kind: Kind, config: JsonObject, what: string): JsonObject {
  const { object, unknown } = decoded(kind, config)
  const { paths, more } = unknownMetadata(isObject(config.metadata) ? config.metadata : {})
  const errors = [...unknown.paths, ...paths].map((path, i) => {
    const meant = suggestionFor(kind, path, i)
    return `.${path.slice(0, maxPath)}: field not declared in schema${meant ? `, did you mean ".${meant}"?` : ''}`
  })
  const left = unknown.more + more
  if (left) errors.push(`${left} more fields are not declared in schema`)
  const [only] = errors
  if (only === undefined) return object
  const text = errors.length === 1 ? only : ['errors:', ...errors.map((error) => `  ${error}`)].join('\n')
  throw new Fault('BadRequest', `failed to create typed patch object (${what}): ${text}`)
}

/** Each suggestion costs a search, and hundreds would not be read. */
function suggestionFor(kind: Kind, path: string, i: number): string | undefined {
  return i < maxSuggestions && path.length <= maxPath ? suggestion(kind.schema, path) : undefined
}

function sentenceOf(kind: Kind, path: string, i: number): string {
  if (path.length > maxPath) return `unknown field "${path.slice(0, maxPath)}…"`
  const meant = suggestionFor(kind, path, i)
  return `unknown field "${path}"${meant ? `, did you mean "${meant}"?` : ''}`
}

/** Warns of duplicate fields in a JSON text; the last one counts. @throws Fault BadRequest for strict validation */
export function warnOfDuplicates(kind: Kind, text: string, options: Options): void {
  if (options.unknownFields === 'Ignore') return
  const { paths, more } = duplicateFields(text)
  const sentences = paths.map((path) => `duplicate field "${path.slice(0, maxPath)}"`)
  tell(kind, more ? [...sentences, `${more} more duplicate fields`] : sentences, options)
}

function tell(kind: Kind, sentences: readonly string[], options: Options): void {
  if (sentences.length && options.unknownFields === 'Strict')
    throw new Fault(
      'BadRequest',
      `${kind.kind} in version "${kind.version}" cannot be handled as a ${kind.kind}: strict decoding error: ${sentences.join(', ')}`,
    )
  if (options.unknownFields === 'Warn') for (const sentence of sentences) options.warn?.(sentence)
}
