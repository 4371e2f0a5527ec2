import { Fault } from '#base/fault.ts'
import { isObject, type Json, type JsonObject } from '#base/json.ts'
import type { Answer } from '../http/exchange.ts'
import { failure } from './status.ts'

/** Items of a list that are written at a time. */
const partItems = 100

/** The JSON of items of long lists, most of which are the same as in the list before. */
const itemTexts = new WeakMap<object, string>()

function itemText(item: Json): string {
  if (!isObject(item)) return JSON.stringify(item)
  const text = itemTexts.get(item) ?? JSON.stringify(item)
  itemTexts.set(item, text)
  return text
}

/** A JSON document as an answer; a long list in parts, each made when the client has taken those before it. */
export function jsonAnswer(code: number, body: JsonObject): Answer {
  const { items } = body
  const isLong = Array.isArray(items) && items.length > partItems
  return { code, type: 'application/json', body: isLong ? listParts(body, items) : JSON.stringify(body) }
}

export function textAnswer(code: number, body: string): Answer {
  return { code, type: 'text/plain', body }
}

/** The `Status` of a fault as an answer. */
export function refusal(error: unknown): Answer {
  const status = failure(error)
  const wait = status.details?.retryAfterSeconds
  return {
    ...jsonAnswer(status.code, status as unknown as JsonObject),
    ...(wait !== undefined && { headers: { 'retry-after': String(wait) } }),
  }
}

/** A path or method that nothing is served at. */
export function notServed(): Fault {
  return new Fault('NotFound', 'the server could not find the requested resource')
}

/** The JSON of a long list, part by part: others are served between two parts, and none has to be larger than that. */
function* listParts({ items: _, ...rest }: JsonObject, items: readonly Json[]): Generator<Buffer> {
  const around = JSON.stringify({ ...rest, items: [] })
  const end = ']}'
  let before = around.slice(0, -end.length)
  for (let from = 0; from < items.length; from += partItems) {
    const part = items.slice(from, from + partItems).map(itemText)
    yield Buffer.from(before + part.join(','))
    before = ','
  }
  yield Buffer.from(end)
}
