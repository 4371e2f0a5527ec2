import type { ServerResponse } from 'node:http'
import type { Kind } from '#apis/meta/object.ts'
import { isObject, type JsonObject } from '#base/json.ts'
import type { Trail } from './access/audit.ts'
import { admit, audited, type Guard } from './access/guard.ts'
import { ask, findQuestion } from './access/question.ts'
import type { Attributes } from './access/rules.ts'
import { aggregatedAt, discoveryType } from './aggregated.ts'
import { coreVersions, groupList, groupOf, resourceList } from './discovery.ts'
import { inTime, Turnstile } from './limits.ts'
import { type ListenerOptions, notServed, openListener, type Reply, type Request, send } from './listener.ts'
import { openapiIndex, openapiOf } from './openapi.ts'
import { encodeOpenapiV2, openapiV2, openapiV2Protobuf } from './openapi-v2.ts'
import { parseResourcePath, type ResourcePath } from './path.ts'
import type { Registry } from './registry.ts'
import { flag, objectBody, queryOf } from './request.ts'
import { answer, notAllowed } from './resources.ts'
import { registryFor } from './view.ts'
import { warningHeaders } from './warning.ts'
import { planWatch, streamWatch, type WatchPlan } from './watch.ts'

export type ServerOptions = ListenerOptions &
  Readonly<{
    registry: Registry
    guard: Guard
    version: JsonObject
  }>

/** A running API server. `port` is the one it really listens on. */
export type Server = Readonly<{ port: number; close(): Promise<void> }>

/** Serves a registry as a Kubernetes API over TLS, HTTP/1.1 and HTTP/2. @throws Fault Unavailable when it cannot listen */
export async function startServer(options: ServerOptions): Promise<Server> {
  const { limits } = options
  const stopping = new AbortController()
  const requests = new Turnstile(limits.maxRequestsInflight, 'too many requests, please try again later')
  const watches = new Turnstile(limits.watches, 'too many watches are open, please try again later')
  const listener = await openListener(options, async (request, reply) => {
    const trail: Trail = {}
    const query = queryOf(request.url.split('?').slice(1).join('?'))
    let watching: Watching | undefined
    await audited(options.guard, { raw: request.raw, query }, trail, async () => {
      watching = await requests.pass(() => inTime(limits.requestTimeoutMs, handle(options, request, reply, trail)))
      return reply.statusCode
    })
    if (watching) await watches.pass(() => watching!(stopping.signal))
  })
  return {
    port: listener.port,
    close: () => {
      stopping.abort()
      return listener.close()
    },
  }
}

/** What is left of a request that has been understood as a watch: telling changes until the signal aborts. */
type Watching = (stopping: AbortSignal) => Promise<void>

async function handle(
  options: ServerOptions,
  request: Request,
  reply: Reply,
  trail: Trail,
): Promise<Watching | undefined> {
  const path = request.url.split('?', 1)[0]!
  if (path === '/healthz' || path === '/livez' || path === '/readyz') {
    await reply.type('text/plain').send('ok')
    return undefined
  }
  if (path === '/version' || path === '/version/') return send(reply, 200, options.version)
  const resource = parseResourcePath(path)
  const query = queryOf(request.url.slice(path.length + 1))
  const user = await admit(options.guard, { raw: request.raw, path, resource, query }, trail)
  if (path === '/openapi/v2') return sendOpenapiV2(kindsOf(options), request, reply)
  const aggregated = aggregatedAt(kindsOf(options), path, request.headers.accept)
  if (aggregated) return send(reply, 200, aggregated, discoveryType)
  const document = documentAt(kindsOf(options), path)
  if (document) return send(reply, 200, document)
  const contentType = (request.headers['content-type'] ?? '').split(';', 1)[0]!.trim().toLowerCase()
  const body = request.body as Buffer | undefined
  const question = resource && findQuestion(options.guard.questions, resource)
  if (question) {
    if (request.method !== 'POST') throw notAllowed(request.method)
    trail.isQuestion = !question.isWrite
    return send(reply, 201, await ask(question, objectBody(contentType, body), { user, path: resource }))
  }
  const served = resource && options.registry.find(resource.group, resource.version, resource.plural)
  if (!resource || !served) throw notServed()
  const accept = request.headers.accept
  const { kind } = served
  const registry = registryFor(options.registry, served)
  const { namespace, name } = resource
  // Objects of namespaced kinds have no address without their namespace, and others none with one.
  if (kind.namespaced ? name !== undefined && namespace === undefined : namespace !== undefined) throw notServed()
  if (request.method === 'GET' && flag(query.watch)) {
    const plan = planWatch(registry, kind, { namespace, name, query, accept })
    return (stopping) => watch({ ...options, registry }, request, reply, stopping, kind, plan)
  }
  const warnings = new Set<string>()
  const asked = answer(registry, kind, {
    method: request.method,
    path: resource,
    query,
    accept,
    userAgent: request.headers['user-agent'],
    contentType,
    body,
    user,
    warn: (text) => warnings.add(text),
    requireCreate: () => options.guard.access.require(user, createOf(resource)),
  })
  const tell = () => {
    if (warnings.size) reply.header('warning', warningHeaders([...warnings]))
  }
  // A refusal tells them too.
  const { code, body: out } = await asked.finally(tell)
  trail.name = nameOf(out)
  return send(reply, code, out)
}

async function watch(
  options: ServerOptions,
  request: Request,
  reply: Reply,
  stopping: AbortSignal,
  kind: Kind,
  plan: WatchPlan,
): Promise<void> {
  const closed = new AbortController()
  const raw = reply.raw
  raw.once('close', () => closed.abort())
  raw.on('error', () => closed.abort())
  const signals = [stopping, closed.signal, ...(plan.timeoutMs ? [AbortSignal.timeout(plan.timeoutMs)] : [])]
  const signal = AbortSignal.any(signals)
  reply.hijack()
  raw.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-cache, private' })
  // kubectl waits for the headers before it goes on, even while there is nothing to tell.
  // HTTP/2 sends them at once; HTTP/1 has to be told, by a method that only its response has.
  if (request.raw.httpVersionMajor < 2) (raw as unknown as ServerResponse).flushHeaders()
  const sink = (text: string) => {
    if (closed.signal.aborted || raw.write(text)) return Promise.resolve()
    return new Promise<void>((resolve) => {
      // Who reads nothing for that long is gone, or holds memory on purpose.
      const timer = setTimeout(() => raw.destroy(), options.limits.requestTimeoutMs)
      const done = () => {
        clearTimeout(timer)
        raw.off('drain', done)
        signal.removeEventListener('abort', done)
        resolve()
      }
      raw.once('drain', done)
      signal.addEventListener('abort', done, { once: true })
    })
  }
  await streamWatch(options.registry, kind, plan, sink, signal)
  if (!closed.signal.aborted) raw.end()
}

/** What somebody wants who wants to create what a path names. */
function createOf({ group, plural, namespace }: ResourcePath): Attributes {
  return { verb: 'create', group, resource: plural, ...(namespace !== undefined && { namespace }) }
}

/** Every kind there is, also those that can only be asked about. */
function kindsOf({ registry, guard }: ServerOptions): Kind[] {
  const asked = guard.questions.filter((question) => question.subresource === undefined)
  return [...registry.served, ...asked].map(({ kind }) => kind)
}

/** kubectl asks here about kinds that OpenAPI does not know; without an answer it tells of that instead of the kind. */
const noDefinitionsPath = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
const noDefinitions: JsonObject = {
  kind: 'CustomResourceDefinitionList',
  apiVersion: 'apiextensions.k8s.io/v1',
  metadata: { resourceVersion: '0' },
  items: [],
}

/** Documents that describe the API itself. */
function documentAt(kinds: readonly Kind[], path: string): JsonObject | undefined {
  const parts = path.split('/').filter(Boolean)
  if (parts[0] === 'openapi' && parts[1] === 'v3') {
    if (parts.length === 2) return openapiIndex(kinds)
    return parts[2] === 'api' ? openapiOf(kinds, '', parts[3] ?? '') : openapiOf(kinds, parts[3] ?? '', parts[4] ?? '')
  }
  if (parts[0] === 'api')
    return parts.length === 1 ? coreVersions() : parts.length === 2 ? resourceList(kinds, '', parts[1]!) : undefined
  if (parts[0] !== 'apis') return undefined
  if (path === noDefinitionsPath) return noDefinitions
  if (parts.length === 1) return groupList(kinds)
  if (parts.length === 2) return groupOf(kinds, parts[1]!)
  return parts.length === 3 ? resourceList(kinds, parts[1]!, parts[2]!) : undefined
}

/** The older description of the API, for older kubectls. */
async function sendOpenapiV2(kinds: readonly Kind[], request: Request, reply: Reply): Promise<undefined> {
  const described = openapiV2(kinds)
  if (!request.headers.accept?.includes(openapiV2Protobuf)) return send(reply, 200, described)
  await reply.type(openapiV2Protobuf).send(encodeOpenapiV2(described))
}

/** The name in an answer: of a write under a generated name there is no other. */
function nameOf({ metadata }: JsonObject): string {
  return isObject(metadata) && typeof metadata.name === 'string' ? metadata.name : ''
}
