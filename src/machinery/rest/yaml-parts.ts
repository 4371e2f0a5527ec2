import { dump } from 'js-yaml'
import type { Json, JsonObject } from '#base/json.ts'
import { inParts } from './json-parts.ts'

/** Every object is written whole: a reference to one that was written before would be hard to read. */
const options = { noRefs: true, skipInvalid: true, lineWidth: -1 } as const

/** A document as YAML, a list item by item: to write one of thousands at once would hold up all other requests. */
export function* yamlParts(body: JsonObject): Generator<Buffer> {
  const name = (['items', 'rows'] as const).find((one) => Array.isArray(body[one]))
  const list = name === undefined ? undefined : body[name]
  if (name === undefined || !Array.isArray(list) || !list.length) {
    yield Buffer.from(dump(body, options))
    return
  }
  const { [name]: _, ...rest } = body
  yield Buffer.from(`${dump(rest, options)}${name}:\n`)
  for (const part of inParts(list, (item: Json) => dump([item], options))) yield Buffer.from(part.join(''))
}
