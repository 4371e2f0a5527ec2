import { dump } from 'js-yaml'
import { Fault } from '#base/fault.ts'
import type { JsonObject } from '#base/json.ts'
import type { Answer } from '../http/exchange.ts'
import { type Encoding, negotiated } from './accept.ts'
import { jsonParts } from './json-parts.ts'
import { protobufType } from './protobuf.ts'
import { encodeObject, isEncodable } from './protobuf-encode.ts'
import { failure } from './status.ts'

/** How a client wants to read what is not negotiated: documents, errors, what verbs answer. */
export type Reader = Readonly<{ accept?: string | undefined; isPretty?: boolean }>

/**
 * A JSON document as an answer; a long list in parts, each made when the client has taken those before it. Pretty ones are
 * indented.
 */
export function jsonAnswer(code: number, body: JsonObject, { isPretty = false }: Reader = {}): Answer {
  return { code, type: 'application/json', body: jsonParts(body, isPretty) }
}

/**
 * A body as its client wants it most of what there is for its kind, which may be protobuf; JSON where nothing of that is
 * accepted.
 */
export function readableAnswer(code: number, body: JsonObject, reader: Reader): Answer {
  switch (encodingFor(body, reader)) {
    case 'protobuf':
      return { code, type: protobufType, body: encodeObject(body) }
    case 'yaml':
      return yamlAnswer(code, body)
    default:
      return jsonAnswer(code, body, reader)
  }
}

function encodingFor(body: JsonObject, { accept }: Reader): Encoding {
  try {
    return negotiated(accept, { forms: [], isYaml: true, isProtobuf: isEncodable(body) }).encoding
  } catch {
    return 'json'
  }
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
export function refusal(error: unknown, reader: Reader = {}): Answer {
  const status = failure(error)
  const wait = status.details?.retryAfterSeconds
  return {
    ...readableAnswer(status.code, status, reader),
    ...(wait !== undefined && { headers: { 'retry-after': String(wait) } }),
  }
}

/** A path or method that nothing is served at. */
export function notServed(): Fault {
  return new Fault('NotFound', 'the server could not find the requested resource')
}
