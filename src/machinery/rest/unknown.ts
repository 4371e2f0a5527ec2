import type { Kind } from '#apis/meta/object.ts'
import { Fault } from '#base/fault.ts'
import type { JsonObject } from '#base/json.ts'
import { unknownMetadata } from './metadata.ts'
import { suggestion } from './suggest.ts'
import { pruneUnknown } from './validate.ts'

/** Most unknown fields of one object for which the right one is looked for. */
const maxSuggestions = 10

type Options = Readonly<{ unknownFields?: 'Strict' | 'Warn' | 'Ignore'; warn?: (text: string) => void }>

/**
 * `doc` without fields no schema knows; `input` is what the client sent of it.
 * @throws Fault BadRequest naming them all, when asked to be strict.
 */
export function withoutUnknown<T>(kind: Kind, doc: T, input: JsonObject, options: Options): T {
  const { object, unknown } = pruneUnknown(kind.schema, doc as unknown as JsonObject)
  unknown.push(...unknownMetadata((input.metadata ?? {}) as JsonObject))
  // Each costs a search, and nobody reads hundreds of them.
  const sentences = unknown.map((path, i) => {
    const meant = i < maxSuggestions ? suggestion(kind.schema, path) : undefined
    return `unknown field "${path}"${meant ? `, did you mean "${meant}"?` : ''}`
  })
  if (unknown.length && options.unknownFields === 'Strict')
    throw new Fault(
      'BadRequest',
      `${kind.kind} in version "${kind.version}" cannot be handled as a ${kind.kind}: strict decoding error: ${sentences.join(', ')}`,
    )
  if (options.unknownFields === 'Warn') for (const sentence of sentences) options.warn?.(sentence)
  return object as unknown as T
}
