import type { Kind } from '#apis/meta/object.ts'
import { explain, faultKind } from '#base/fault.ts'
import { isObject, type JsonObject } from '#base/json.ts'
import type { Log } from '#base/log.ts'
import { delay } from '#base/wait.ts'
import type { Answer, Entered, Exchange } from '../http/exchange.ts'
import { inTime } from '../http/limits.ts'
import type { Door } from '../http/listener.ts'
import type { Caller } from '../http/shares.ts'
import { acceptWebSocket, carry, requireWebSocket } from '../http/websocket.ts'
import type { Encoding } from './accept.ts'
import type { AuditRecord } from './access/audit.ts'
import { callerOf } from './access/caller.ts'
import { admit, audited, type Guard } from './access/guard.ts'
import { answerReview, findReview, type Review } from './access/review.ts'
import type { Attributes } from './access/rules.ts'
import {
  type Action,
  actionInput,
  actionKinds,
  describedActions,
  findAction,
  isTrial,
  requirePresent,
} from './actions.ts'
import { aggregatedAt, discoveryType } from './aggregated.ts'
import { type Channel, deepPath, findChannel } from './channels.ts'
import { registryFor } from './converted.ts'
import { type Catalog, discoveryAt, openapiAt, pathsOf } from './documents.ts'
import { fixedAnswer } from './fixed-document.ts'
import { healthAt, type Unready } from './health.ts'
import { jsonAnswer, notServed, type Reader, readableAnswer, refusal, textAnswer, yamlAnswer } from './json-answer.ts'
import { encodeOpenapiV2, openapiV2, openapiV2Protobuf, openapiV2ProtobufAnswer } from './openapi-v2.ts'
import { parseResourcePath, type ResourcePath } from './path.ts'
import { protobufAnswer } from './protobuf-encode.ts'
import type { Registry } from './registry.ts'
import { dryRunOf, fieldValidationOf, flag, isJson, objectBody, type Query, queryOf } from './request.ts'
import { answer, notAllowed } from './resources.ts'
import type { Served, User } from './strategy.ts'
import { warnOfDuplicates } from './unknown.ts'
import { warningHeaders } from './warning.ts'
import { planWatch, streamWatch } from './watch.ts'

export type KubernetesOptions = Readonly<{
  registry: Registry
  guard: Guard
  version: JsonObject
  /** What Prometheus scrapes. */
  metrics: () => Promise<Readonly<{ type: string; text: string }>>
  /** Further documents by path; users who may list `version` there may read them. */
  documents: Readonly<Record<string, JsonObject>>
  unready: Unready
  /** Time for an answer to be made, milliseconds. */
  requestTimeoutMs: number
  log: Log
}>

/** The Kubernetes API over a registry: requests are authenticated and authorized by headers alone, before a body is read. */
export function kubernetesDoor(options: KubernetesOptions): KubernetesDoor {
  const { guard, log } = options
  const stopping = new AbortController()
  const channels = new Set<Promise<void>>()
  const serving: Serving = { ...options, catalog: catalogOf(options), stopping: stopping.signal, channels }
  return {
    matches: () => true,
    serve: async (exchange) => {
      const record: AuditRecord = { id: crypto.randomUUID() }
      const named = (answer: Answer): Answer => ({ ...answer, headers: { ...answer.headers, ...auditHeader(record) } })
      const query = queryOf(exchange.search)
      try {
        const { answer, caller } = await audited(guard, { exchange, query }, record, (note) =>
          respond(serving, { exchange, query, record, note }),
        )
        if (answer) await exchange.send(named(answer), caller)
      } catch (error) {
        if (faultKind(error) === 'Bug') logBug(log, exchange, error)
        await exchange.send(named(refusal(error, readerOf(exchange, query))))
      }
    },
    stop: async () => {
      stopping.abort()
      // Their last frame must have been sent before their connections are closed.
      const told = new AbortController()
      await Promise.race([Promise.allSettled(channels), delay(goodbyeMs, told.signal)])
      told.abort()
    },
  }
}

/** Time for clients of channels to hear that the server stops, milliseconds. */
const goodbyeMs = 1000

/** The door of the API. `stop` ends its watches and channels, and resolves when these have heard of it. */
export interface KubernetesDoor extends Door {
  stop(): Promise<void>
}

type Serving = KubernetesOptions &
  Readonly<{
    catalog: Catalog
    stopping: AbortSignal
    /** The channels that are open. */
    channels: Set<Promise<void>>
  }>

/** A request that was let in. */
type Asked = Readonly<{
  exchange: Exchange
  resource: ResourcePath | undefined
  query: Query
  user: User
  record: AuditRecord
  /** Has the request written down now, before it ends. */
  note: (code: number) => void
}>

/** With its body. */
type Read = Asked & Readonly<{ body: Buffer }>

/** How an exchange ended: with an answer still to be sent, and its caller, or with a streamed one. */
type Outcome = Readonly<{ code: number; answer?: Answer; caller?: Caller }>

async function respond(serving: Serving, request: Omit<Asked, 'resource' | 'user'>): Promise<Outcome> {
  const { guard } = serving
  const { exchange, query, record } = request
  exchange.requireSmallHeader()
  const open = openAnswer(serving, exchange, query)
  if (open) requireReading(exchange)
  if (open) return { code: open.code, answer: open }
  const { path } = exchange
  const resource = parseResourcePath(path) ?? deepPath([...guard.channels, ...guard.actions], path)
  const channel = resource && findChannel(guard.channels, resource)
  // Refusals of one are written down too.
  if (channel) record.isChannel = true
  const user = await admit(guard, { exchange, resource, query }, record)
  const caller = callerOf(user, exchange.address)
  const asked: Asked = { ...request, resource, user }
  if (channel) {
    await exchange.enter(caller, 'watches', (entered) => openChannel(serving, channel, { ...asked, resource }, entered))
    return { code: 101 }
  }
  if (exchange.method === 'GET' && flag(query.watch) && resource && servedAt(serving, resource)) {
    await exchange.enter(caller, 'watches', (entered) => watch(serving, asked, entered))
    return { code: 200 }
  }
  const answer = await exchange.enter(caller, 'requests', async (entered) => {
    const body = await entered.body()
    return inTime(serving.requestTimeoutMs, answerTo(serving, { ...asked, body }))
  })
  return { code: answer.code, answer, caller }
}

/** Opens a channel and carries it to its end. It counts as a watch: both last. */
async function openChannel(
  { stopping, requestTimeoutMs, channels }: Serving,
  channel: Channel,
  { exchange, resource, query, user, record, note }: Asked & Readonly<{ resource: ResourcePath }>,
  entered: Entered,
): Promise<void> {
  if (exchange.method !== 'GET') throw notAllowed(exchange.method)
  requireWebSocket(exchange.headers)
  const { namespace = '', name = '', args = [] } = resource
  const end = new AbortController()
  const { signal } = end
  const left = () => end.abort()
  exchange.closed.addEventListener('abort', left, { once: true })
  try {
    const stream = await inTime(requestTimeoutMs, channel.run({ namespace, name, args, query, user, signal }))
    const { protocol } = channel
    // From here on it lasts until what the client has sent has arrived.
    exchange.closed.removeEventListener('abort', left)
    const socket = await acceptWebSocket(entered.upgrade(), { protocol, headers: auditHeader(record) })
    note(101)
    const carried = carry(socket, stream, stopping, { silenceMs: requestTimeoutMs })
    channels.add(carried)
    await carried.finally(() => channels.delete(carried))
  } finally {
    end.abort()
  }
}

/** Documents are only read. @throws Fault NotAllowed */
function requireReading({ method }: Exchange): void {
  if (method !== 'GET' && method !== 'HEAD') throw notAllowed(method)
}

/** Open to every client without limit: health and version. */
function openAnswer({ unready, version }: Serving, exchange: Exchange, query: Query): Answer | undefined {
  const { path } = exchange
  if (path === '/version' || path === '/version/') return jsonAnswer(200, version, readerOf(exchange, query))
  return healthAt(path, query, unready)
}

async function answerTo(serving: Serving, asked: Read): Promise<Answer> {
  const { exchange, resource } = asked
  const { guard } = serving
  const served = resource && servedAt(serving, resource)
  const document = served ? undefined : await describe(serving, asked)
  if (document) requireReading(exchange)
  if (document) return document
  const review = resource && findReview(guard.reviews, resource)
  if (review) return respondToReview(review, asked, resource)
  const action = resource && findAction(guard.actions, resource)
  if (action) return act(action, asked, resource)
  if (resource) requirePresent(guard.absent, resource)
  if (!resource || !served) throw notServed()
  return answerResource(serving, served, { ...asked, resource })
}

async function respondToReview(
  review: Review,
  { exchange, query, user, record, body }: Read,
  path: ResourcePath,
): Promise<Answer> {
  if (exchange.method !== 'POST') throw notAllowed(exchange.method)
  record.isReview = !review.isWrite
  const type = contentTypeOf(exchange)
  const input = objectBody(type, body, review.kind)
  const warnings: string[] = []
  const warn = (text: string) => warnings.push(text)
  if (isJson(type))
    warnOfDuplicates(review.kind, String(body), { unknownFields: fieldValidationOf('POST', query), warn })
  const answer = readableAnswer(201, await answerReview(review, input, { user, path, warn }), readerOf(exchange, query))
  return warnings.length ? { ...answer, headers: { warning: warningHeaders(warnings) } } : answer
}

async function act(action: Action, asked: Read, path: ResourcePath): Promise<Answer> {
  const { exchange, query, user } = asked
  if (exchange.method !== action.method) throw notAllowed(exchange.method)
  const { namespace = '', name = '' } = path
  const input = actionInput(contentTypeOf(exchange), asked.body)
  const { code, body, text, bytes } = await action.run({
    ...{ namespace, name, input, query, user },
    dryRun: isTrial(input, dryRunOf(exchange.method, query)),
    signal: exchange.closed,
  })
  if (text !== undefined) return textAnswer(code, text)
  if (bytes) return { code, type: bytes.type, body: bytes.data }
  return body ? readableAnswer(code, body, readerOf(exchange, query)) : { code, type: '', body: '' }
}

async function answerResource(
  { registry, guard }: Serving,
  served: Served,
  { exchange, resource, query, user, record, body: sent }: Read & Readonly<{ resource: ResourcePath }>,
): Promise<Answer> {
  requireScope(served.kind, resource)
  const reader = readerOf(exchange, query)
  const warnings = new Set<string>(served.kind.deprecation === undefined ? [] : [served.kind.deprecation])
  const told = () => (warnings.size ? { warning: warningHeaders([...warnings]) } : {})
  try {
    const { code, body, encoding } = await answer(registryFor(registry, served), served.kind, {
      method: exchange.method,
      path: resource,
      query,
      accept: exchange.headers.accept,
      userAgent: exchange.headers['user-agent'],
      contentType: contentTypeOf(exchange),
      body: sent,
      user,
      warn: (text) => warnings.add(text),
      requireCreate: () => guard.access.require(user, createOf(resource)),
    })
    record.name = nameOf(body)
    return { ...(await written(encoding, code, body, reader)), headers: told() }
  } catch (error) {
    if (!warnings.size || faultKind(error) === 'Bug') throw error
    // A refusal carries the warnings too.
    const refused = refusal(error, reader)
    return { ...refused, headers: { ...refused.headers, ...told() } }
  }
}

async function written(encoding: Encoding, code: number, body: JsonObject, reader: Reader): Promise<Answer> {
  if (encoding === 'protobuf') return protobufAnswer(code, body)
  return encoding === 'yaml' ? yamlAnswer(code, body) : jsonAnswer(code, body, reader)
}

/** Objects of namespaced kinds have no address without their namespace, and others none with one. @throws Fault NotFound */
function requireScope({ namespaced }: Kind, { name, namespace }: ResourcePath): void {
  if (namespaced ? name !== undefined && namespace === undefined : namespace !== undefined) throw notServed()
}

async function watch(serving: Serving, { exchange, resource, query, record }: Asked, entered: Entered): Promise<void> {
  const served = resource && servedAt(serving, resource)
  if (!served) throw notServed()
  requireScope(served.kind, resource)
  const { namespace, name } = resource
  const registry = registryFor(serving.registry, served)
  const plan = planWatch(registry, served.kind, { namespace, name, query, accept: exchange.headers.accept })
  const timeout = plan.timeoutMs ? [AbortSignal.timeout(plan.timeoutMs)] : []
  const signal = AbortSignal.any([serving.stopping, exchange.closed, ...timeout])
  const stream = entered.stream(plan.rendering.streamType, auditHeader(record))
  await streamWatch(registry, served.kind, plan, (events) => stream.write(events), signal)
  stream.end()
}

/** A document that is not an object: discovery, OpenAPI, metrics. Undefined for other paths. */
async function describe(
  { catalog, metrics, documents }: Serving,
  { exchange, query }: Asked,
): Promise<Answer | undefined> {
  const { kinds, discovered, described } = catalog
  const { path, headers } = exchange
  if (path === '/openapi/v2') return openapiV2Answer(kinds, headers)
  if (path === '/metrics') {
    const { type, text } = await metrics()
    return { code: 200, type, body: text }
  }
  const aggregated = aggregatedAt(discovered, path, headers.accept)
  if (aggregated) return fixedAnswer(aggregated, { headers, type: discoveryType })
  const document =
    path === '/'
      ? pathsOf(catalog, [...Object.keys(documents), '/metrics', '/openapi/v2'])
      : (openapiAt(described, path) ?? discoveryAt(discovered, path) ?? documents[path])
  return document && fixedAnswer(document, { headers, hash: query.hash })
}

/** The older description of the API, for older kubectls. */
function openapiV2Answer(kinds: readonly Kind[], headers: Exchange['headers']): Answer {
  const described = openapiV2(kinds)
  if (!headers.accept?.includes(openapiV2Protobuf)) return fixedAnswer(described, { headers })
  return fixedAnswer(described, { headers, type: openapiV2ProtobufAnswer, encode: encodeOpenapiV2 })
}

function servedAt({ registry }: Serving, { group, version, plural }: ResourcePath): Served | undefined {
  return registry.find(group, version, plural)
}

/** By which a request is found in the audit log. */
function auditHeader({ id }: AuditRecord): Readonly<Record<string, string>> {
  return { 'audit-id': id }
}

/** What reads answers: `pretty` in the query says whether they are indented, else people's own clients have them so (Kubernetes). */
function readerOf({ headers }: Exchange, { pretty }: Query): Reader {
  const isPeople = /^(curl|Wget|Mozilla\/5\.0)/.test(headers['user-agent'] ?? '')
  return { accept: headers.accept, isPretty: pretty ? /^(1|t|true)$/i.test(pretty) : isPeople }
}

function contentTypeOf({ headers }: Exchange): string {
  const [type = ''] = (headers['content-type'] ?? '').split(';', 1)
  return type.trim().toLowerCase()
}

/** What a caller wants who wants to create what a path names. */
function createOf({ group, plural, namespace }: ResourcePath): Attributes {
  return { verb: 'create', group, resource: plural, ...(namespace !== undefined && { namespace }) }
}

function catalogOf({ registry, guard }: KubernetesOptions): Catalog {
  const asked = guard.reviews.filter((review) => review.subresource === undefined)
  const kinds = [...registry.served, ...asked].map(({ kind }) => kind)
  const channels = guard.channels.map((channel) => ({ ...channel, method: 'GET' as const }))
  const discovered = [...kinds, ...actionKinds([...guard.actions, ...channels], kinds)]
  return { kinds, discovered, described: [...kinds, ...describedActions(guard.actions)] }
}

/** The name in an answer: of a write under a generated name there is no other. */
function nameOf({ metadata }: JsonObject): string {
  return isObject(metadata) && typeof metadata.name === 'string' ? metadata.name : ''
}

function logBug(log: Log, { path }: Exchange, error: unknown): void {
  const stack = error instanceof Error ? error.stack : undefined
  log.error({ path, cause: explain(error), stack }, 'Request failed by a bug')
}
