import { isObject, type Json, type JsonObject } from '#base/json.ts'

/** Least bytes of a part: others are served between two of them. */
const partBytes = 128 * 1024
/** Fewest items of a list that is written part by part. */
const manyItems = 100

/** The JSON of items of long lists, which mostly are what they were in the list before. */
const itemTexts = new WeakMap<object, string>()

/** The JSON of an answer: whole, or in parts if it has a long list of `items` or `rows` (a Table). */
export function jsonParts(body: JsonObject): Buffer | Iterable<Buffer> {
  for (const name of ['items', 'rows'] as const) {
    const list = body[name]
    if (Array.isArray(list) && list.length > manyItems) return listParts(body, name, list)
  }
  return Buffer.from(JSON.stringify(body))
}

function* listParts(body: JsonObject, name: 'items' | 'rows', list: readonly Json[]): Generator<Buffer> {
  const { [name]: _, ...rest } = body
  const end = ']}'
  const head = JSON.stringify({ ...rest, [name]: [] }).slice(0, -end.length)
  // Rows are made for each answer: caching their text would not help.
  const textOf = name === 'items' ? itemText : (row: Json) => JSON.stringify(row)
  let first = true
  for (const part of inParts(list, textOf)) {
    yield Buffer.from((first ? head : ',') + part.join(','))
    first = false
  }
  yield Buffer.from(end)
}

/** Texts of values in parts of some size each. */
export function* inParts<T>(values: Iterable<T>, textOf: (value: T) => string): Generator<readonly string[]> {
  let part: string[] = []
  let length = 0
  for (const value of values) {
    const text = textOf(value)
    part.push(text)
    length += text.length
    if (length < partBytes) continue
    yield part
    part = []
    length = 0
  }
  if (part.length) yield part
}

function itemText(item: Json): string {
  if (!isObject(item)) return JSON.stringify(item)
  const text = itemTexts.get(item) ?? JSON.stringify(item)
  itemTexts.set(item, text)
  return text
}
