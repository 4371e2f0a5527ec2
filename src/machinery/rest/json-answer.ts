import { Fault } from '#base/fault.ts'
import type { JsonObject } from '#base/json.ts'
import type { Answer } from '../http/exchange.ts'
import { jsonParts } from './json-parts.ts'
import { failure } from './status.ts'
import { yamlParts } from './yaml-parts.ts'

/** A JSON document as an answer; a long list in parts, each made when the client has taken those before it. */
export function jsonAnswer(code: number, body: JsonObject): Answer {
  return { code, type: 'application/json', body: jsonParts(body) }
}

/** The same document as YAML. */
export function yamlAnswer(code: number, body: JsonObject): Answer {
  return { code, type: 'application/yaml', body: yamlParts(body) }
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
