import type { ServerResponse } from 'node:http'
import type { Kind } from '#apis/meta/object.ts'
import { isObject, type JsonObject } from '#base/json.ts'
import type { Trail } from './access/audit.ts'
import { admit, audited, type Guard } from './access/guard.ts'
import { ask, findQuestion } from './access/question.ts'
import type { Attributes } from './access/rules.ts'
import { actionInput, actionKinds, findAction, isTrial } from './actions.ts'
import { aggregatedAt, discoveryType } from './aggregated.ts'
import { discoveryAt, openapiAt } from './documents.ts'
import { inTime, Turnstile } from './limits.ts'
import { type ListenerOptions, notServed, openListener, type Reply, type Request, send } from './listener.ts'
import { encodeOpenapiV2, openapiV2, openapiV2Protobuf } from './openapi-v2.ts'
import { parseResourcePath, type ResourcePath } from './path.ts'
import type { Registry } from './registry.ts'
import { dryRunOf, flag, objectBody, queryOf } from './request.ts'
import { answer, notAllowed } from './resources.ts'
import { registryFor } from './view.ts'
import { warningHeaders } from './warning.ts'
import { planWatch, streamWatch, type WatchPlan } from './watch.ts'

export type ServerOptions = ListenerOptions &
  Readonly<{
    registry: Registry
    guard: Guard
    version: JsonObject
    /** What is told to Prometheus. */
    metrics: () => Promise<Readonly<{ type: string; text: string }>>
    /** Further documents by path; whoever may list `version` there may read them. */
    documents: Readonly<Record<string, JsonObject>>
  }>

/** A running API server. `port` is the one it really listens on. */
export type Server = Readonly<{ port: number; close(): Promise<void> }>

/** Serves a registry as a Kubernetes API over TLS, HTTP/1.1 and HTTP/2. @throws Fault Unavailable when it cannot listen */
export async function startServer(options: ServerOptions): Promise<Server> {
  const { limits } = options
  const serving = { ...options, catalog: catalogOf(options) }
  const stopping = new AbortController()
  const requests = new Turnstile(limits.maxRequestsInflight, 'too many requests, please try again later')
  const watches = new Turnstile(limits.watches, 'too many watches are open, please try again later')
  const listener = await openListener(options, async (request, reply) => {
    const trail: Trail = {}
    const query = queryOf(request.url.split('?').slice(1).join('?'))
    let watching: Watching | undefined
    await audited(options.guard, { raw: request.raw, query }, trail, async () => {
      watching = await requests.pass(() => inTime(limits.requestTimeoutMs, handle(serving, request, reply, trail)))
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

type Serving = ServerOptions & Readonly<{ catalog: Catalog }>

/** What is left of a request that has been understood as a watch: telling changes until the signal aborts. */
type Watching = (stopping: AbortSignal) => Promise<void>

async function handle(options: Serving, request: Request, reply: Reply, trail: Trail): Promise<Watching | undefined> {
  const path = request.url.split('?', 1)[0]!
  if (path === '/healthz' || path === '/livez' || path === '/readyz') {
    await reply.type('text/plain').send('ok')
    return undefined
  }
  if (path === '/version' || path === '/version/') return send(reply, 200, options.version)
  const resource = parseResourcePath(path)
  const query = queryOf(request.url.slice(path.length + 1))
  const user = await admit(options.guard, { raw: request.raw, path, resource, query }, trail)
  const served = resource && options.registry.find(resource.group, resource.version, resource.plural)
  if (!served && (await describe(options, request, reply, path))) return undefined
  const contentType = (request.headers['content-type'] ?? '').split(';', 1)[0]!.trim().toLowerCase()
  const body = request.body as Buffer | undefined
  const question = resource && findQuestion(options.guard.questions, resource)
  if (question) {
    if (request.method !== 'POST') throw notAllowed(request.method)
    trail.isQuestion = !question.isWrite
    return send(reply, 201, await ask(question, objectBody(contentType, body), { user, path: resource }))
  }
  const action = resource && findAction(options.guard.actions, resource)
  if (action) {
    if (request.method !== action.method) throw notAllowed(request.method)
    const { namespace = '', name = '' } = resource
    const input = actionInput(contentType, body)
    const call = { namespace, name, input, user, dryRun: isTrial(input, dryRunOf(query)) }
    const { code, body: out } = await action.run(call)
    return out ? send(reply, code, out) : sendNothing(reply, code)
  }
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

/** Answers with a document that is no object: what there is, what it looks like, how it goes. False when there is none. */
async function describe(options: Serving, request: Request, reply: Reply, path: string): Promise<boolean> {
  const { kinds, discovered } = options.catalog
  if (path === '/openapi/v2') await sendOpenapiV2(kinds, request, reply)
  else if (path === '/metrics') {
    if (request.method !== 'GET') throw notAllowed(request.method)
    const { type, text } = await options.metrics()
    await sendText(reply, type, text)
  } else {
    const aggregated = aggregatedAt(discovered, path, request.headers.accept)
    if (aggregated) await send(reply, 200, aggregated, discoveryType)
    else {
      const document = openapiAt(kinds, path) ?? discoveryAt(discovered, path) ?? options.documents[path]
      if (!document) return false
      await send(reply, 200, document)
    }
  }
  return true
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

async function sendText(reply: Reply, type: string, text: string): Promise<undefined> {
  if (!reply.sent) await reply.type(type).send(text)
}

async function sendNothing(reply: Reply, code: number): Promise<undefined> {
  if (!reply.sent) await reply.code(code).send('')
}

/** What somebody wants who wants to create what a path names. */
function createOf({ group, plural, namespace }: ResourcePath): Attributes {
  return { verb: 'create', group, resource: plural, ...(namespace !== undefined && { namespace }) }
}

/** Every kind there is, also those that can only be asked about; and with the verbs, which only discovery shows. */
type Catalog = Readonly<{ kinds: readonly Kind[]; discovered: readonly Kind[] }>

function catalogOf({ registry, guard }: ServerOptions): Catalog {
  const asked = guard.questions.filter((question) => question.subresource === undefined)
  const kinds = [...registry.served, ...asked].map(({ kind }) => kind)
  return { kinds, discovered: [...kinds, ...actionKinds(guard.actions)] }
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
