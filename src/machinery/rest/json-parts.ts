import { isObject, type Json, type JsonObject } from '#base/json.ts'

/** Least bytes of a part: others are served between two of them. */
export const partBytes = 128 * 1024
/** Fewest items of a list that is written part by part. */
export const manyItems = 100

/** The JSON of items of long lists, which mostly are what they were in the list before. */
const itemTexts = new WeakMap<object, string>()

/** By how much each level of pretty JSON is indented: as much as Kubernetes does. */
const indent = '  '

/**
 * The JSON of an answer: whole, or in parts if it has a long list of `items` or `rows` (a Table). Pretty JSON is indented, for
 * people.
 */
export function jsonParts(body: JsonObject, isPretty = false): Buffer | Iterable<Buffer> {
  for (const name of ['items', 'rows'] as const) {
    const list = body[name]
    if (Array.isArray(list) && list.length > manyItems) return listParts(body, name, list, isPretty)
  }
  return Buffer.from(JSON.stringify(body, null, isPretty ? indent : ''))
}

function* listParts(
  body: JsonObject,
  name: 'items' | 'rows',
  list: readonly Json[],
  isPretty: boolean,
): Generator<Buffer> {
  const { [name]: _, ...rest } = body
  const [item, end] = isPretty ? [`\n${indent}${indent}`, `\n${indent}]\n}`] : ['', ']}']
  const whole = JSON.stringify({ ...rest, [name]: [] }, null, isPretty ? indent : '')
  const head = whole.slice(0, whole.lastIndexOf(']'))
  // Rows are made for each answer, and pretty lists are rare: caching their text would not help.
  const plain = name === 'items' ? itemText : (row: Json) => JSON.stringify(row)
  const pretty = (one: Json) => item + JSON.stringify(one, null, indent).replaceAll('\n', item)
  let first = true
  for (const part of inParts(list, isPretty ? pretty : plain)) {
    yield Buffer.from((first ? head : ',') + part.join(','))
    first = false
  }
  yield Buffer.from(end)
}

/** What values are written as, in parts of some size each. */
export function* inParts<T, W extends string | Uint8Array>(
  values: Iterable<T>,
  write: (value: T) => W,
): Generator<readonly W[]> {
  let part: W[] = []
  let length = 0
  for (const value of values) {
    const written = write(value)
    part.push(written)
    length += written.length
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
