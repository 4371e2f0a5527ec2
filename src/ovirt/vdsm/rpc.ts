import { isDeeperThan, isList, isObject, type Json, type JsonObject, parsedJson } from '#base/json.ts'
import { protocol, RpcError } from './errors.ts'

/** Deepest nesting of a request; vdsm's own have less than ten levels. */
const maxLevels = 32
/** Most requests in one body. */
const maxBatch = 64

/** What a request asks for. Rejects with an RpcError for what is refused; anything else is a bug, and is said to be one. */
export type Answerer = (method: string, params: JsonObject) => Promise<Json>

/**
 * Answers the requests of a body of JSON-RPC 2.0, one after the other: of two changes of one card the second is the last. The
 * answer to one request is a bare object, whether it came in a list or not, as vdsm's; undefined when nobody asked for an answer.
 */
export async function answerBody(body: string, answer: Answerer): Promise<string | undefined> {
  const value = parsedJson(body)
  if (value === undefined) return textOf([refusal(null, new RpcError(protocol.parse))])
  const requests = Array.isArray(value) ? (value as readonly unknown[]) : [value]
  if (!requests.length || requests.length > maxBatch) {
    const reason = requests.length ? `there are more than ${maxBatch} in one body` : 'the list is empty'
    return textOf([refusal(null, new RpcError(protocol.request, reason))])
  }
  const answers: JsonObject[] = []
  for (const request of requests) {
    const one = await answerOne(request, answer)
    if (one) answers.push(one)
  }
  return answers.length ? textOf(answers) : undefined
}

/** The answer to a body that is not looked into. */
export function refusedBody(error: RpcError): string {
  return textOf([refusal(null, error)])
}

type Request = Readonly<{ id: Json | undefined; method: string; params: JsonObject }>

async function answerOne(value: unknown, answer: Answerer): Promise<JsonObject | undefined> {
  let id: Json | undefined = null
  try {
    const request = requestOf(value)
    id = request.id
    const result = await answer(request.method, request.params)
    return id === undefined ? undefined : { jsonrpc: '2.0', id, result }
  } catch (error) {
    const known = error instanceof RpcError ? error : new RpcError(protocol.internal)
    // Whose parameters are wrong has an id all the same.
    const asked = isObject(value) && isId(value.id) ? value.id : id
    return isNotification(value) ? undefined : refusal(asked ?? null, known)
  }
}

/** @throws RpcError */
function requestOf(value: unknown): Request {
  if (!isObject(value)) throw new RpcError(protocol.request, 'it is no object')
  if (isDeeperThan(value, maxLevels))
    throw new RpcError(protocol.request, `it is nested deeper than ${maxLevels} levels`)
  const { jsonrpc, id, method, params = {} } = value
  if (jsonrpc !== '2.0') throw new RpcError(protocol.request, 'jsonrpc is not "2.0"')
  if (typeof method !== 'string') throw new RpcError(protocol.request, 'method is no text')
  if (id !== undefined && !isId(id)) throw new RpcError(protocol.request, 'id is neither a text nor a number')
  if (isList(params) || !isObject(params)) throw new RpcError(protocol.params, 'params are not given by their names')
  return { id, method, params }
}

function isId(id: Json | undefined): id is string | number | null {
  return typeof id === 'string' || typeof id === 'number' || id === null
}

/** A request that wants no answer; what is no request at all gets one. */
function isNotification(value: unknown): boolean {
  return isObject(value) && value.id === undefined && value.jsonrpc === '2.0' && typeof value.method === 'string'
}

function refusal(id: Json, { code, message }: RpcError): JsonObject {
  return { jsonrpc: '2.0', id, error: { code, message } }
}

function textOf(answers: readonly JsonObject[]): string {
  return JSON.stringify(answers.length === 1 ? answers[0] : answers)
}
