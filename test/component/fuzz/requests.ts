import { pick, type Random } from '../random.ts'
import { Bodies, type Body } from './bodies.ts'

type Sent = Body & Readonly<{ method: string; path: string; headers: Record<string, string> }>

const methods = ['GET', 'GET', 'POST', 'POST', 'POST', 'PUT', 'PATCH', 'PATCH', 'PATCH', 'DELETE']
const oddMethods = ['HEAD', 'OPTIONS', 'TRACE', 'PROPFIND']

const segments = [
  '%',
  '%zz',
  '%00',
  '%2F',
  '%ff%fe',
  '..',
  '.',
  '',
  '*',
  '__proto__',
  'constructor',
  '%F0%9F%94%8C',
  '-1',
  'a%20b',
  'namespaces',
  'status',
]

const options = [
  'fieldValidation',
  'dryRun',
  'labelSelector',
  'fieldSelector',
  'limit',
  'continue',
  'resourceVersion',
  'resourceVersionMatch',
  'sendInitialEvents',
  'allowWatchBookmarks',
  'timeoutSeconds',
  'propagationPolicy',
  'gracePeriodSeconds',
  'includeObject',
  'fieldManager',
  'force',
  'x',
  '__proto__',
]
const values = [
  '',
  'All',
  'Strict',
  'Warn',
  'Ignore',
  'Exact',
  'NotOlderThan',
  'Orphan',
  'true',
  '0',
  '1',
  '-1',
  '1e9',
  'a%3Db',
  'a%20in%20(b',
  '!a',
  'metadata.name%3Da',
  'spec.x%3D1',
  'eyJydiI6MSwic3RhcnQiOiJhIn0',
  '%',
  '%00',
  '%zz',
  ',,,,',
  '%F0%9F%94%8C',
  'x'.repeat(2000),
]

const headerNames = [
  'accept',
  'accept-encoding',
  'content-encoding',
  'x-remote-user',
  'authorization',
  'if-match',
  'user-agent',
  'impersonate-user',
  'impersonate-group',
  'impersonate-extra-x',
]
const headerValues = [
  '',
  '*/*',
  'application/json;as=Table;v=v1;g=meta.k8s.io',
  'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList',
  'application/vnd.kubernetes.protobuf',
  'gzip',
  'Bearer x',
  'Bearer a.b.c',
  'system:serviceaccount:default:default',
  ';;;',
  'é',
  'x'.repeat(3000),
]

const kubevirt = '/apis/kubevirt.io/v1'
const rbac = '/apis/rbac.authorization.k8s.io/v1'
const namespaced: readonly (readonly [root: string, plural: string])[] = [
  [kubevirt, 'virtualmachines'],
  [kubevirt, 'virtualmachines'],
  [kubevirt, 'virtualmachineinstances'],
  [kubevirt, 'virtualmachineinstancemigrations'],
  [kubevirt, 'kubevirts'],
  ['/apis/k8s.cni.cncf.io/v1', 'network-attachment-definitions'],
  ['/api/v1', 'pods'],
  ['/api/v1', 'events'],
  ['/api/v1', 'configmaps'],
  ['/api/v1', 'secrets'],
  ['/api/v1', 'serviceaccounts'],
  ['/api/v1', 'resourcequotas'],
  ['/apis/coordination.k8s.io/v1', 'leases'],
  [rbac, 'roles'],
  [rbac, 'rolebindings'],
]
const clusterWide: typeof namespaced = [
  [rbac, 'clusterroles'],
  [rbac, 'clusterrolebindings'],
  ['/api/v1', 'nodes'],
]

/** What describes the API, and questions to it. */
const documents = [
  '/api',
  '/api/v1',
  '/apis',
  '/apis/kubevirt.io',
  '/apis/kubevirt.io/v1',
  '/openapi/v2',
  '/openapi/v3',
  '/openapi/v3/apis/kubevirt.io/v1',
  '/version',
  '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
  '/apis/authorization.k8s.io/v1/selfsubjectrulesreviews',
  '/apis/authentication.k8s.io/v1/selfsubjectreviews',
]

/** Requests that go wrong in many ways, most of them only a little. */
export class Requests {
  readonly #random: Random
  readonly #bodies: Bodies

  constructor(random: Random) {
    this.#random = random
    this.#bodies = new Bodies(random)
  }

  next(namespaces: readonly string[]): Sent {
    const method = pick(this.#random, this.#chance(0.05) ? oddMethods : methods)
    const headers = this.#chance(0.2) ? { [pick(this.#random, headerNames)]: pick(this.#random, headerValues) } : {}
    const { plural, path } = this.#path(method, pick(this.#random, namespaces))
    const at = `${path}?${this.#query().join('&')}`.replace(/\?$/, '')
    if (method === 'GET' && this.#chance(0.02)) return { method, headers, path: this.#watch(path) }
    if (method === 'PATCH' && this.#chance(0.3)) {
      const who = [`fieldManager=${pick(this.#random, ['me', 'you'])}`, `force=${this.#chance(0.5)}`]
      return {
        method,
        headers,
        path: `${path}?${[...this.#query(), ...who].join('&')}`,
        ...this.#bodies.applied(plural),
      }
    }
    return { method, headers, path: at, ...this.#body(method, plural) }
  }

  #body(method: string, plural: string): Body {
    if (method === 'PATCH') return this.#bodies.patch(plural)
    if (method === 'DELETE') return this.#bodies.deleting()
    return method === 'POST' || method === 'PUT' ? this.#bodies.object(plural) : {}
  }

  #path(method: string, ns: string): { plural: string; path: string } {
    if (this.#chance(0.03)) {
      const path = pick(this.#random, documents)
      return { plural: path.split('/').at(-1)!, path }
    }
    const [root, plural] = pick(this.#random, this.#chance(0.05) ? clusterWide : namespaced)
    const name = pick(this.#random, ['a', 'a', 'b', 'c', 'd'])
    const isWide = clusterWide.some(([, one]) => one === plural)
    const collection = isWide ? `${root}/${plural}` : `${root}/namespaces/${ns}/${plural}`
    // Of what has no namespace only single objects: nothing would ever sweep away what is made under generated names.
    const isObject = isWide || this.#chance(method === 'POST' ? 0.05 : 0.9)
    const whole = isObject ? `${collection}/${name}` : collection
    const path = this.#chance(0.1) ? `${whole}/${pick(this.#random, ['status', 'scale', 'log', 'token'])}` : whole
    return { plural, path: this.#chance(0.9) ? path : this.#bent(path) }
  }

  #bent(path: string): string {
    const parts = path.split('/')
    const long = 'x'.repeat(Math.floor(this.#random() * 4000))
    const segment = this.#chance(0.1) ? long : pick(this.#random, segments)
    parts.splice(1 + Math.floor(this.#random() * parts.length), this.#chance(0.5) ? 1 : 0, segment)
    return parts.join('/')
  }

  #query(): string[] {
    const length = pick(this.#random, [0, 0, 0, 1, 2, 3])
    return Array.from({ length }, () => `${pick(this.#random, options)}=${pick(this.#random, values)}`)
  }

  /** Those that are well-formed end after a second. */
  #watch(path: string): string {
    return `${path}?${['watch=true', 'timeoutSeconds=1', ...this.#query()].join('&')}`
  }

  #chance(p: number): boolean {
    return this.#random() < p
  }
}
