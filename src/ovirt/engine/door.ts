import { randomUUID } from 'node:crypto'
import { explain, faultKind } from '#base/fault.ts'
import type { Log } from '#base/log.ts'
import type { Answer, Exchange } from '#machinery/http/exchange.ts'
import type { Door } from '#machinery/http/listener.ts'
import type { TokenReader } from '#machinery/rest/access/authenticate.ts'
import { callerOf } from '#machinery/rest/access/caller.ts'
import type { Named } from '../wire/document.ts'
import { EngineFault, NotFound } from '../wire/faults.ts'
import { Input, readInput } from '../wire/read.ts'
import { answerBody } from '../wire/write.ts'
import type { Account, Call, Gateway, Reply } from './call.ts'
import { followed } from './follow.ts'
import { engineFault } from './kube-faults.ts'
import { apiRoot } from './names.ts'
import type { Queues } from './queues.ts'
import { entryRoutes } from './resources/entry.ts'
import { eventRoutes } from './resources/events.ts'
import { jobRoutes } from './resources/jobs.ts'
import { networkRoutes } from './resources/networks.ts'
import { nicRoutes } from './resources/nics.ts'
import { placeRoutes } from './resources/places.ts'
import { reportedDeviceRoutes } from './resources/reported-devices.ts'
import { templateRoutes } from './resources/templates.ts'
import { vmRoutes } from './resources/vms.ts'
import { findRoute, type Method, type Route } from './routes.ts'
import { type PkiFiles, pkiAnswer } from './sign-in/pki.ts'
import { SignIn } from './sign-in/sign-in.ts'
import { World } from './world.ts'

export type EngineOptions = Readonly<{
  gateway: Gateway
  /** Tokens that count as passwords and as access tokens. */
  tokens: readonly TokenReader[]
  pki: PkiFiles
  /** Shared with other doors that change VMs. */
  queues: Queues
  /** Writes a line to the audit log of the server about a write: who, what, and how it was answered. */
  audit: (line: AuditedWrite) => void
  log: Log
}>

export type AuditedWrite = Readonly<{
  id: string
  method: string
  path: string
  code: number
  address: string
  userAgent: string | undefined
  account: Account | undefined
}>

/** The door of the API. `stop` ends what it waits for. */
export type EngineDoor = Door & Readonly<{ stop(): void }>

/** The REST API of oVirt's engine over the Kubernetes API. */
export function engineDoor(options: EngineOptions): EngineDoor {
  const stopping = new AbortController()
  const serving: Serving = {
    ...options,
    signIn: new SignIn(options.gateway.own, options.tokens),
    stopping: stopping.signal,
  }
  return {
    matches: () => true,
    serve: (exchange) => serve(serving, exchange),
    stop: () => stopping.abort(),
  }
}

type Serving = EngineOptions & Readonly<{ signIn: SignIn; stopping: AbortSignal }>

const routes: readonly Route[] = [
  ...entryRoutes,
  ...vmRoutes,
  ...nicRoutes,
  ...reportedDeviceRoutes,
  ...networkRoutes,
  ...placeRoutes,
  ...templateRoutes,
  ...eventRoutes,
  ...jobRoutes,
]

const methods: Readonly<Record<string, Method>> = {
  GET: 'get',
  HEAD: 'get',
  POST: 'post',
  PUT: 'put',
  DELETE: 'remove',
}

async function serve(serving: Serving, exchange: Exchange): Promise<void> {
  const id = exchange.headers['correlation-id']
  const correlationId = typeof id === 'string' && id ? id.slice(0, 64) : randomUUID()
  const seen: Seen = { account: undefined }
  let answer: Answer
  try {
    exchange.requireSmallHeader()
    answer = await respond(serving, exchange, correlationId, seen)
  } catch (error) {
    answer = refusal(serving, exchange, engineFault(error))
  }
  audit(serving, exchange, { answer, correlationId, account: seen.account })
  // A client that announces a body and does not send it gets its answer all the same (facts/ovirt-clients.md §0.1).
  const isUnread = isReading(exchange.method) && exchange.headers['content-length'] !== undefined
  const headers = { ...answer.headers, 'correlation-id': correlationId, ...(isUnread && { connection: 'close' }) }
  await exchange.send({ ...answer, headers })
}

/** What is found out about a request on its way. */
type Seen = { account: Account | undefined }

function audit(
  serving: Serving,
  { method, path, address, headers }: Exchange,
  { answer, correlationId, account }: Readonly<{ answer: Answer; correlationId: string; account: Account | undefined }>,
): void {
  if (isReading(method)) return
  const userAgent = headers['user-agent']
  serving.audit({ id: correlationId, method, path, code: answer.code, address, userAgent, account })
}

function isReading(method: string): boolean {
  return method === 'GET' || method === 'HEAD' || method === 'OPTIONS'
}

async function respond(serving: Serving, exchange: Exchange, correlationId: string, seen: Seen): Promise<Answer> {
  const { signIn } = serving
  const pki = pkiAnswer(serving.pki, exchange)
  if (pki) return pki
  const signing = await signIn.answer(exchange)
  if (signing) return signing
  const place = placeOf(exchange)
  if (!place) throw new NotFound()
  const { account, headers } = await signIn.admit(exchange)
  if (!account) return { code: 401, type: '', body: '', headers }
  seen.account = account
  if (exchange.method === 'OPTIONS') return { code: 200, type: '', body: '', headers }
  const caller = callerOf(account.user, exchange.address)
  const reply = await exchange.enter(caller, 'requests', async (entered) => {
    const body = isReading(exchange.method) ? undefined : (await entered.body()).toString()
    const input = body === undefined ? new Input() : readInput(body, isJsonType(exchange))
    const { gateway, queues, stopping } = serving
    const client = gateway.clientOf(account.user)
    const signal = AbortSignal.any([stopping, exchange.closed])
    const world = new World(client, gateway.own)
    const base = { account, client, gateway, world, input, correlationId, queues, signal }
    return answerCall(exchange.method, place, base)
  })
  return rendered(exchange, { ...reply, headers: { ...reply.headers, ...headers } })
}

type Place = Readonly<{ segments: readonly string[]; query: Readonly<Record<string, string>> }>

/** What is asked for below the root; undefined for a path that is not below it. */
function placeOf({ path, search, headers }: Exchange): Place | undefined {
  if (path !== apiRoot && !path.startsWith(`${apiRoot}/`) && !path.startsWith(`${apiRoot};`)) return undefined
  const version = headers.version
  if (version !== undefined && version !== '4')
    throw new EngineFault(
      400,
      'Operation Failed',
      `The version ${String(version)} of the API is not supported; it is 4`,
    )
  const query: Record<string, string> = Object.fromEntries(new URLSearchParams(search))
  // Clients say this in a header as well.
  if (typeof headers['all-content'] === 'string') query.all_content ??= headers['all-content']
  const segments: string[] = []
  for (const part of path.slice(apiRoot.length).split('/')) {
    // Matrix parameters mean the same as those of the query (facts/ovirt-clients.md §0.7).
    const [segment = '', ...matrix] = part.split(';')
    if (segment) segments.push(decoded(segment))
    for (const parameter of matrix) Object.assign(query, Object.fromEntries(new URLSearchParams(parameter)))
  }
  return { segments: segments[0] === 'v4' ? segments.slice(1) : segments, query }
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    throw new NotFound()
  }
}

type Base = Omit<Call, 'params' | 'query'>

async function answerCall(method: string, { segments, query }: Place, base: Base): Promise<Reply> {
  const { route, params } = findRoute(routes, segments)
  const handle = route[methods[method] ?? 'get']
  if (!handle || !methods[method]) return { code: 405, headers: { allow: allowed(route) } }
  const reply = await handle({ ...base, params, query })
  const { named } = reply
  if (!named || !query.follow || method !== 'GET') return reply
  const read = async (href: string): Promise<Named> => {
    const { route: at, params: of } = findRoute(routes, href.slice(apiRoot.length).split('/').filter(Boolean))
    const found = await at.get?.({ ...base, params: of, query: {} })
    if (!found?.named) throw new NotFound()
    return found.named
  }
  return { ...reply, named: await followed(named, query.follow, read) }
}

function allowed(route: Route): string {
  return Object.entries(methods)
    .filter(([, method]) => route[method])
    .map(([name]) => name)
    .join(', ')
}

function isJsonType({ headers }: Exchange): boolean {
  return /json/i.test(headers['content-type'] ?? '')
}

/** XML unless JSON is asked for first. */
function wantsJson({ headers }: Exchange): boolean {
  const accept = headers.accept ?? ''
  const json = accept.search(/application\/(\w+\+)?json/i)
  const xml = accept.search(/\/xml/i)
  return json >= 0 && (xml < 0 || json < xml)
}

function rendered(exchange: Exchange, { code, named, headers = {} }: Reply): Answer {
  if (!named) return { code, type: '', body: '', headers }
  const isJson = wantsJson(exchange)
  const type = isJson ? 'application/json' : 'application/xml;charset=UTF-8'
  return { code, type, body: answerBody(named, isJson), headers }
}

function refusal({ log }: Serving, exchange: Exchange, error: unknown): Answer {
  if (error instanceof NotFound) return { code: 404, type: '', body: '' }
  if (error instanceof EngineFault) {
    const { code, doc, retryAfterSeconds } = error
    const headers = retryAfterSeconds === undefined ? {} : { 'retry-after': String(retryAfterSeconds) }
    return rendered(exchange, { code, named: { root: 'fault', doc }, headers })
  }
  if (faultKind(error) === 'Aborted') return { code: 503, type: '', body: '' }
  const stack = error instanceof Error ? error.stack : undefined
  log.error({ path: exchange.path, cause: explain(error), stack }, 'Request of the oVirt door failed by a bug')
  return rendered(exchange, {
    code: 500,
    named: { root: 'fault', doc: { detail: 'internal error', reason: 'Operation Failed' } },
  })
}
