import { NotFound } from '../wire/faults.ts'
import type { Call, Reply } from './call.ts'
import { apiRoot } from './names.ts'

/** Answers a call. @throws EngineFault, NotFound, Fault of the Kubernetes API */
type Handler = (call: Call) => Promise<Reply> | Reply

/** What is served at a path below the root; segments that begin with a colon are variable. */
export type Route = Readonly<{
  path: string
  get?: Handler
  post?: Handler
  put?: Handler
  remove?: Handler
}>

export type Method = 'get' | 'post' | 'put' | 'remove'

/** A route that a path leads to, and the values of its variable segments. */
type Found = Readonly<{ route: Route; params: Readonly<Record<string, string>> }>

/** Finds the route of a path (its segments): fixed segments go before variable ones. @throws NotFound */
export function findRoute(routes: readonly Route[], segments: readonly string[]): Found {
  let best: Found | undefined
  for (const route of routes) {
    const params = paramsOf(route.path, segments)
    if (params && (!best || Object.keys(params).length < Object.keys(best.params).length)) best = { route, params }
  }
  if (!best) throw new NotFound()
  return best
}

function paramsOf(path: string, segments: readonly string[]): Record<string, string> | undefined {
  const pattern = path.split('/').filter(Boolean)
  if (pattern.length !== segments.length) return undefined
  const params: Record<string, string> = {}
  for (const [i, part] of pattern.entries()) {
    const segment = segments[i] ?? ''
    if (part.startsWith(':')) params[part.slice(1)] = segment
    else if (part !== segment) return undefined
  }
  return params
}

/** The address of something below the root. */
export function hrefOf(...segments: readonly string[]): string {
  return [apiRoot, ...segments].join('/')
}
