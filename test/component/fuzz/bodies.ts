import type { Any } from '../api.ts'
import { nad, vm } from '../manifests.ts'
import { pick, type Random } from '../random.ts'

/** A body and what it says it is. */
export type Body = Readonly<{ body?: string | Buffer; type?: string }>

const nic = '/spec/template/spec/domain/devices/interfaces'
const pointers = [
  `${nic}/0/state`,
  `${nic}/1/state`,
  `${nic}/-`,
  `${nic}/01`,
  nic,
  '/spec/runStrategy',
  '/spec',
  '/metadata',
  '/metadata/labels',
  '/metadata/annotations/a~1b',
  '/metadata/name',
  '/metadata/finalizers',
  '/metadata/managedFields',
  '/metadata/managedFields/0/fieldsV1',
  '/metadata/ownerReferences',
  '/metadata/resourceVersion',
  '/data',
  '/data/a',
  '/status',
  '',
  '/',
  '/__proto__/polluted',
  '/constructor/prototype/x',
  '/spec/template/spec/networks/0',
  '~2',
  '/a~',
]

const types = [
  '',
  'application/yaml',
  'text/plain',
  'application/vnd.kubernetes.protobuf',
  'application/json-patch+json',
  'application/apply-patch+yaml',
  ';',
  'application/json; charset=utf-16',
  'multipart/form-data; boundary=x',
  'é',
]

const junk: readonly (() => Any)[] = [
  () => null,
  () => true,
  () => -1,
  () => 1e308,
  () => 0.5,
  () => '',
  () => '../../etc/passwd',
  () => '\u0000\ud800💥',
  () => '$(reboot)',
  () => '02:00:00:00:00:00',
  () => 'x'.repeat(300),
  () => [],
  () => [null, [], {}],
  () => ({}),
  () => JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}'),
  () => JSON.parse(`${'['.repeat(300)}${']'.repeat(300)}`),
  () => [{ name: 'red' }, { name: 'red' }],
  () => [{ manager: 'x', operation: 'Apply', apiVersion: 'v1', fieldsType: 'FieldsV1', fieldsV1: { 'f:spec': {} } }],
  () => [{ apiVersion: 'v1', kind: 'Pod', name: 'a', uid: 'gone' }],
  () => ({ $patch: 'replace' }),
  () => [{ $patch: 'delete', name: 'red' }],
]

/** Bodies that go wrong in many ways, most of them only a little. */
export class Bodies {
  readonly #random: Random

  constructor(random: Random) {
    this.#random = random
  }

  junk(): Any {
    return pick(this.#random, junk)()
  }

  /** Something to create or to put. */
  object(plural: string): Body {
    const dice = this.#random()
    if (dice < 0.03) return { body: this.#bytes(), type: 'application/vnd.kubernetes.protobuf' }
    if (dice < 0.1) return { body: this.#yaml(), type: 'application/yaml' }
    return {
      body: this.text(this.#mutated(this.#manifest(plural))),
      type: this.#chance(0.9) ? 'application/json' : pick(this.#random, types),
    }
  }

  applied(plural: string): Body {
    const manifest = this.#chance(0.5) ? this.#manifest(plural) : this.#mutated(this.#manifest(plural))
    return { body: this.#chance(0.1) ? this.#yaml() : this.text(manifest), type: 'application/apply-patch+yaml' }
  }

  deleting(): Body {
    if (this.#chance(0.7)) return { body: '' }
    const propagationPolicy = pick(this.#random, ['Foreground', 'Background', 'Orphan', 'x', undefined])
    const options = { preconditions: { uid: this.junk() }, dryRun: [pick(this.#random, ['All', 'x'])] }
    return { body: this.text(this.#chance(0.5) ? { propagationPolicy } : { ...options, propagationPolicy }) }
  }

  patch(plural: string): Body {
    const dice = this.#random()
    if (dice < 0.1) return { body: this.text(this.#mutated(this.#manifest(plural))), type: pick(this.#random, types) }
    if (dice < 0.4) return { body: this.text(this.#merge(plural)), type: 'application/merge-patch+json' }
    if (dice < 0.5) return { body: this.text(this.#merge(plural)), type: 'application/strategic-merge-patch+json' }
    const operations = Array.from({ length: pick(this.#random, [0, 1, 1, 2, 5]) }, () => ({
      op: pick(this.#random, ['add', 'add', 'replace', 'remove', 'copy', 'move', 'test', 'frob']),
      path: pick(this.#random, pointers),
      from: pick(this.#random, pointers),
      value: this.#chance(0.5) ? pick(this.#random, ['down', 'up', 'Halted', 'Always']) : this.junk(),
    }))
    return {
      body: this.text(this.#chance(0.9) ? operations : this.#mutated(operations)),
      type: 'application/json-patch+json',
    }
  }

  /** A value as JSON, now and then broken. */
  text(value: Any): string {
    const text = JSON.stringify(value)
    if (this.#chance(0.95)) return text
    return pick(this.#random, [
      text.slice(0, -1),
      `${text}}`,
      '',
      'null',
      '[]',
      '"x"',
      '\u0000',
      text.replaceAll('"', "'"),
      `{"a":1e999,${text.slice(1)}`,
    ])
  }

  #merge(plural: string): Any {
    const { metadata, ...rest } = this.#manifest(plural)
    return this.#mutated(
      pick(this.#random, [
        { metadata, ...rest },
        rest,
        { metadata: { labels: { x: 'y' }, finalizers: [] } },
        { metadata: { annotations: { x: null }, '$deleteFromPrimitiveList/finalizers': ['x/y'] } },
        { '$setElementOrder/containers': [], spec: { $retainKeys: ['x'] } },
        { status: {} },
      ]),
    )
  }

  /** Mostly what belongs where it is sent. */
  #manifest(plural: string): Any {
    const name = pick(this.#random, ['a', 'a', 'b', 'c', 'd', ''])
    const state = pick(this.#random, ['up', 'down', 'absent', 'linkDown'])
    const runStrategy = pick(this.#random, ['Always', 'Halted', 'RerunOnFailure', 'Manual', 'Once'])
    const rules = [{ verbs: ['get'], apiGroups: [''], resources: ['pods'] }]
    const makers: Readonly<Record<string, () => Any>> = {
      virtualmachines: () => vm(name, [{ name: 'red' }, { name: 'blue', state }], { runStrategy }),
      virtualmachineinstances: () => ({ metadata: { name }, spec: vm('x').spec.template.spec }),
      'network-attachment-definitions': () => nad(name),
      pods: () => ({
        metadata: { generateName: 'p-' },
        spec: { containers: [{ name: 'c', resources: { limits: { memory: '1Mi' } } }] },
      }),
      resourcequotas: () => ({
        metadata: { name },
        spec: { hard: { pods: '100', 'limits.memory': '1Gi', secrets: 50 } },
      }),
      events: () => ({ metadata: { name }, involvedObject: { kind: 'Pod', name }, reason: 'x', type: 'Normal' }),
      configmaps: () => ({ metadata: { name }, data: { a: 'x', b: 'y' } }),
      secrets: () => ({ metadata: { name }, data: { a: 'eA==' }, stringData: { b: 'y' } }),
      leases: () => ({ metadata: { name }, spec: { holderIdentity: 'x', leaseDurationSeconds: 5 } }),
      roles: () => ({ metadata: { name }, rules }),
      clusterroles: () => ({ metadata: { name }, rules }),
      selfsubjectaccessreviews: () => ({ spec: { resourceAttributes: { verb: 'get', resource: 'pods' } } }),
    }
    const fitting = this.#chance(0.9) ? makers[plural] : undefined
    const made = (fitting ?? pick(this.#random, Object.values(makers)))()
    if (made.metadata && this.#chance(0.3))
      Object.assign(made.metadata, {
        labels: { a: 'b' },
        annotations: { x: 'y' },
        finalizers: this.#chance(0.1) ? ['x/y'] : [],
        ownerReferences: [],
      })
    if (this.#chance(0.1)) Object.assign(made, { status: { conditions: [], phase: 'Running' }, apiVersion: 'v1' })
    return made
  }

  /** A copy with some values put in place of others. */
  #mutated(value: Any): Any {
    const copy = structuredClone(value)
    for (let i = pick(this.#random, [0, 0, 1, 1, 2, 4]); i > 0; i--) this.#mutate(copy)
    return copy
  }

  #mutate(whole: Any): void {
    let at = whole
    while (typeof at === 'object' && at !== null) {
      const keys = Object.keys(at)
      const strange = ['__proto__x', 'constructor', 'new', '0', '💥']
      const key = pick(this.#random, keys.length && this.#chance(0.97) ? keys : strange)
      const child = at[key]
      if (typeof child === 'object' && child !== null && this.#chance(0.8)) {
        at = child
        continue
      }
      if (this.#chance(0.2)) delete at[key]
      else at[key] = this.junk()
      return
    }
  }

  #yaml(): string {
    return pick(this.#random, [
      'a: [',
      '&a [*a]',
      'metadata: {name: a}\nspec: &s {config: "{}"}\nmore: *s',
      `a: &a [x]\n${Array.from({ length: 30 }, (_, i) => `b${i}: &b${i} [*${i ? `b${i - 1}` : 'a'}, *a]`).join('\n')}`,
      '--- \n---\n',
      '!!js/function x',
      '? [a]\n: b',
      `metadata:\n  name: a\ndata:\n  a: ${'y'.repeat(200)}`,
      '\t',
      `${'- '.repeat(400)}x`,
    ])
  }

  /** Sometimes with the right first bytes, followed by anything. */
  #bytes(): Buffer {
    const length = Math.floor(this.#random() * 60)
    const any = Buffer.from(Array.from({ length }, () => Math.floor(this.#random() * 256)))
    return this.#chance(0.7) ? Buffer.concat([Buffer.from('k8s\0'), any]) : any
  }

  #chance(p: number): boolean {
    return this.#random() < p
  }
}

/** A body as large as is allowed, and one that is larger by a byte. */
export const largeBodies: readonly string[] = [0, 1].map((more) => {
  const object = { metadata: { name: 'large' }, spec: { config: 'x' }, unknown: 'x'.repeat(3_000_000) }
  return JSON.stringify(object).padEnd(3 * 1024 * 1024 + more)
})
