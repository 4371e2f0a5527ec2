import { dump } from 'js-yaml'
import { Fault } from '#base/fault.ts'
import type { JsonObject } from '#base/json.ts'
import type { Answer } from '../http/exchange.ts'
import { jsonParts } from './json-parts.ts'
import { failure } from './status.ts'

/** A JSON document as an answer; a long list in parts, each made when the client has taken those before it. */
export function jsonAnswer(code: number, body: JsonObject): Answer {
  return { code, type: 'application/json', body: jsonParts(body) }
}

/** Most bytes of JSON that are written again as YAML for people to read: that takes forty times as long. */
const maxReadable = 16 * 1024

/** The same document as YAML. A long one is written as JSON, which YAML contains. */
export function yamlAnswer(code: number, body: JsonObject): Answer {
  const json = jsonParts(body)
  const isShort = Buffer.isBuffer(json) && json.length <= maxReadable
  // Every object is written whole: a reference to one that was written before would be hard to read.
  const options = { noRefs: true, skipInvalid: true, lineWidth: -1 }
  return { code, type: 'application/yaml', body: isShort ? dump(body, options) : json }
}

export function textAnswer(code: number, body: string): Answer {
  return { code, type: 'text/plain', body }
}

/** The `Status` of a fault as an answer. */
export function refusal(error: unknown): Answer {
  const status = failure(error)
  const wait = status.details?.retryAfterSeconds
  return {
    ...jsonAnswer(status.code, status),
    ...(wait !== undefined && { headers: { 'retry-after': String(wait) } }),
  }
}

/** A path or method that nothing is served at. */
export function notServed(): Fault {
  return new Fault('NotFound', 'the server could not find the requested resource')
}
