import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { dump } from 'js-yaml'
import type { Kind } from '#apis/meta/object.ts'
import { Fault } from '#base/fault.ts'
import type { Json, JsonObject } from '#base/json.ts'
import { field, protobufOf, text } from '#kit/machinery/rest/protobuf-kit.ts'
import { namespaces, openRegistry, Widget } from '#kit/machinery/rest/rest-kit.ts'
import { applyType } from './apply/request.ts'
import { encodeObject } from './protobuf-encode.ts'
import type { Registry } from './registry.ts'
import { answer } from './resources.ts'
import { failure } from './status.ts'
import { serve } from './strategy.ts'

// What a request costs must grow with its size and no faster: whatever is slow holds up everybody, as there is one thread.
// Only ratios are judged, of processor time: twice the size against once, and against reading and writing the same JSON.

/** Most that twice the size may cost, in times of once. Twice is 2; what is quadratic is 4. */
const maxGrowth = 2.5
/** Most that a request may cost, in times of parsing and writing what it says as JSON. */
const maxTimesJson = 10
/** Measured this often; the quickest counts. */
const rounds = 5
/** How often all of that is done again before it is believed. */
const attempts = 4
/** What is not counted: a collection of garbage, and what any request costs, microseconds. */
const slack = 5000

const list = (n: number, item: (i: number) => Json): Json[] => Array.from({ length: n }, (_, i) => item(i))
const map = (n: number, value: (i: number) => Json): JsonObject =>
  Object.fromEntries(list(n, (i) => i).map((i) => [`k${String(i)}`, value(Number(i))]))

const keyed: Kind = {
  ...Widget,
  plural: 'keyeds',
  kind: 'Keyed',
  schema: {
    type: 'object',
    properties: {
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      spec: {
        type: 'object',
        properties: {
          items: {
            type: 'array',
            'x-kubernetes-list-type': 'map',
            'x-kubernetes-list-map-keys': ['name'],
            items: { type: 'object', properties: { name: { type: 'string' }, n: { type: 'integer' } } },
          },
          words: { type: 'array', 'x-kubernetes-list-type': 'set', items: { type: 'string' } },
          free: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
        },
      },
    },
  },
}
const named = (n: number, from = 0) => list(n, (i) => ({ name: `n${i + from}`, n: i }))
const keyedOf = (spec: JsonObject): JsonObject => ({
  apiVersion: 'example.com/v1',
  kind: 'Keyed',
  metadata: { name: 'w' },
  spec,
})

/** A request of a size, over an object that is as large. */
type Request = Readonly<{
  method?: string
  type?: string
  body: Buffer
  /** What the body says, when that is another format. */
  asJson?: Json
  kind?: Kind
  live?: JsonObject
  query?: Record<string, string>
  /** Requests before it, each by another manager. */
  before?: readonly JsonObject[]
}>
const json = (value: Json) => Buffer.from(JSON.stringify(value))
const patch = (type: string, live: JsonObject, value: Json): Request => ({
  method: 'PATCH',
  type: `application/${type}-patch+json`,
  body: json(value),
  live,
})
const strategic = (spec: JsonObject, change: JsonObject) => patch('strategic-merge', keyedOf(spec), { spec: change })
const operations = (spec: JsonObject, ops: Json) => patch('json', keyedOf(spec), ops)

const shapes: readonly [name: string, size: number, request: (n: number) => Request][] = [
  ['JSON', 3000, (n) => ({ body: json(keyedOf({ items: named(n) })) })],
  ['YAML', 3000, (n) => ({ type: 'application/yaml', body: Buffer.from(dump(keyedOf({ items: named(n) }))) })],
  [
    'YAML whose aliases make more of it',
    10_000,
    (n) => ({
      type: 'application/yaml',
      body: Buffer.from(`a: &a [${'1,'.repeat(n / 10)}1]\nb: [${'*a,'.repeat(n / 10)}*a]\n`),
    }),
  ],
  [
    'a protobuf list',
    9000,
    (n) => ({
      kind: namespaces,
      type: 'application/vnd.kubernetes.protobuf',
      body: protobufOf('v1', 'Namespace', field(2, Buffer.concat(list(n, () => 0).map(() => text(1, ''))))),
    }),
  ],
  [
    'a protobuf map',
    3000,
    (n) => {
      const entries = list(n, (i) => i).map((i) => field(11, Buffer.concat([text(1, `k${String(i)}`), text(2, 'v')])))
      const body = protobufOf('v1', 'Namespace', field(1, Buffer.concat(entries)))
      const asJson = { metadata: { labels: map(n, () => 'v') } }
      return { kind: namespaces, type: 'application/vnd.kubernetes.protobuf', body, asJson }
    },
  ],
  ['a deep nest', 20_000, (n) => ({ body: Buffer.from('['.repeat(n) + ']'.repeat(n)) })],
  ['items of a wrong type', 9000, (n) => ({ body: json(keyedOf({ items: list(n, () => 1) })) })],
  ['nulls', 9000, (n) => ({ body: json(keyedOf({ items: list(n, () => ({ n: null })), free: map(n, () => null) })) })],
  ['unknown fields', 9000, (n) => ({ body: json(keyedOf(map(n, () => 1))) })],
  [
    'finalizers',
    9000,
    (n) => ({ body: json({ ...keyedOf({}), metadata: { name: 'w', finalizers: list(n, (i) => `x/${i}`) } }) }),
  ],
  ['labels', 9000, (n) => ({ body: json({ ...keyedOf({}), metadata: { name: 'w', labels: map(n, () => '-') } }) })],
  [
    'a merge patch',
    9000,
    (n) => patch('merge', keyedOf({ free: map(n, () => 1) }), { spec: { free: map(n, () => 2) } }),
  ],
  ['a strategic patch of keyed lists', 3000, (n) => strategic({ items: named(n) }, { items: named(n, n / 2) })],
  [
    'a strategic patch that orders',
    3000,
    (n) => strategic({ items: named(n) }, { '$setElementOrder/items': named(n).toReversed() }),
  ],
  [
    'a strategic patch that deletes items',
    3000,
    (n) => strategic({ items: named(n) }, { items: list(n, (i) => ({ name: `n${i}`, $patch: 'delete' })) }),
  ],
  [
    'a strategic patch that deletes words',
    9000,
    (n) =>
      strategic({ words: list(n, (i) => `w${i}`) }, { '$deleteFromPrimitiveList/words': list(n, (i) => `w${n - i}`) }),
  ],
  [
    'a JSON patch that adds',
    2400,
    (n) =>
      operations(
        { free: { l: list(n, () => 1) } },
        list(n, (i) => ({ op: 'add', path: `/spec/free/k${i}`, value: 1 })),
      ),
  ],
  [
    'a JSON patch that inserts',
    2400,
    (n) =>
      operations(
        { free: { l: list(n, () => 1) } },
        list(n, () => ({ op: 'add', path: '/spec/free/l/0', value: 1 })),
      ),
  ],
  [
    'a JSON patch that moves in a list',
    2400,
    (n) =>
      operations(
        { free: { l: [list(n, () => 0), 's'] } },
        list(n, (i) => ({ op: 'move', from: `/spec/free/l/${i % 2}`, path: `/spec/free/l/${(i + 1) % 2}` })),
      ),
  ],
  [
    'a JSON patch that copies',
    2400,
    (n) =>
      operations(
        { free: { a: 'x' } },
        list(n, (i) => ({ op: 'copy', from: '/spec/free/a', path: `/spec/free/k${i}` })),
      ),
  ],
  [
    'a JSON patch that tests',
    2400,
    (n) =>
      operations(
        { free: { a: map(n, () => 1) } },
        list(n, () => ({ op: 'test', path: '/spec/free/a/k0', value: 1 })),
      ),
  ],
  [
    'an apply of keyed lists and sets',
    2000,
    (n) => ({
      method: 'PATCH',
      type: applyType,
      body: json(keyedOf({ items: named(n, n / 2), words: list(n, (i) => `w${n - i}`) })),
      live: keyedOf({ items: named(n), words: list(n, (i) => `w${i}`) }),
      query: { fieldManager: 'm', force: 'true' },
    }),
  ],
  [
    'an apply among many managers',
    300,
    (n) => ({
      method: 'PATCH',
      type: applyType,
      body: json(keyedOf({ words: list(n, (i) => `w${i}`) })),
      live: keyedOf({}),
      before: list(n, (i) => keyedOf({ words: [`w${i}`, `v${i}`] })) as JsonObject[],
      query: { fieldManager: 'm', force: 'true' },
    }),
  ],
  [
    'a list by a selector',
    15_000,
    (n) => ({ method: 'GET', body: Buffer.alloc(n), query: { labelSelector: ','.repeat(n) } }),
  ],
]

/** The registry that a request finds. */
async function prepared(t: TestContext, { live, before = [] }: Request): Promise<Registry> {
  const registry = await openRegistry(t, [serve(keyed)])
  if (live) await registry.create(keyed, 'default', live, { user: { name: 'u', groups: [] } })
  for (const [i, config] of before.entries())
    await ask(registry, { method: 'PATCH', type: applyType, body: json(config), query: { fieldManager: `m${i}` } })
  return registry
}

/** Asks without storing anything, so that it can be asked again. */
async function ask(registry: Registry, request: Request, dryRun?: 'All'): Promise<JsonObject> {
  const { method = 'POST', type = 'application/json', body, query = {}, kind = keyed } = request
  const { group, version, plural } = kind
  const path = { group, version, plural, ...(kind.namespaced && { namespace: 'default' }) }
  try {
    const { body: out } = await answer(registry, kind, {
      method,
      path: method === 'PATCH' ? { ...path, name: 'w' } : path,
      query: { ...query, ...(dryRun && method !== 'GET' && { dryRun }) },
      accept: undefined,
      userAgent: 'test',
      contentType: type,
      body,
      user: { name: 'u', groups: [] },
      warn: () => undefined,
      requireCreate: () => undefined,
    })
    return out
  } catch (error) {
    // A refusal must not cost more either.
    if (error instanceof Fault) return failure(error) as unknown as JsonObject
    throw error
  }
}

/** Processor time, microseconds: the quickest of several rounds. */
async function costOf(work: () => Promise<unknown>): Promise<number> {
  let best = Number.POSITIVE_INFINITY
  for (let i = 0; i < rounds; i++) {
    const before = process.cpuUsage()
    JSON.stringify(await work())
    const { user, system } = process.cpuUsage(before)
    best = Math.min(best, user + system)
  }
  return best
}

/** What was sent as JSON; of what is no JSON as many bytes, unless it is known what it says. */
function sentJson({ body, type = 'json', asJson }: Request): Json {
  return (
    asJson ??
    (type.endsWith('json') && body[0] === 123 ? (JSON.parse(body.toString()) as Json) : body.toString('latin1'))
  )
}

for (const [name, size, requestOf] of shapes)
  test(`the cost of ${name} grows with its size and no faster`, async (t) => {
    const [small, large] = [requestOf(size), requestOf(2 * size)]
    const [once, twice] = [await prepared(t, small), await prepared(t, large)]
    // Compiled before anything is measured.
    await ask(once, small, 'All')
    const answered = await ask(twice, large, 'All')
    const bytes = JSON.stringify([sentJson(large), large.live ?? null, large.before ?? null, answered])
    let told = ''
    // Others use the machine too: what is quadratic is so each time.
    for (let attempt = 0; attempt < attempts; attempt++) {
      const [single, double] = [
        await costOf(() => ask(once, small, 'All')),
        await costOf(() => ask(twice, large, 'All')),
      ]
      const reading = await costOf(async () => JSON.parse(bytes))
      told = `${size}: ${single} µs, twice: ${double} µs, as JSON: ${reading} µs`
      if (double < maxGrowth * single + slack && double < maxTimesJson * reading + slack) return
    }
    assert.fail(told)
  })

const written: readonly [name: string, size: number, object: (n: number) => JsonObject][] = [
  [
    'lists',
    5000,
    (n) => ({ kind: 'Role', rules: list(n, () => ({ verbs: ['get'], apiGroups: [''], resources: ['pods'] })) }),
  ],
  ['maps', 5000, (n) => ({ kind: 'Role', metadata: { labels: map(n, () => 'v') } })],
  ['a long text', 1_000_000, (n) => ({ kind: 'Role', metadata: { annotations: { a: 'é'.repeat(n) } } })],
]
for (const [name, size, objectOf] of written)
  test(`the cost of writing ${name} as protobuf grows with its size and no faster`, async () => {
    const objects = [size, 2 * size].map((n) => ({ apiVersion: 'rbac.authorization.k8s.io/v1', ...objectOf(n) }))
    for (const object of objects) encodeObject(object)
    let told = ''
    for (let attempt = 0; attempt < attempts; attempt++) {
      const costs: number[] = []
      for (const object of objects) costs.push(await costOf(async () => encodeObject(object).length))
      const [once = 0, twice = 0] = costs
      told = `${size}: ${once} µs, twice: ${twice} µs`
      if (twice < maxGrowth * once + slack) return
    }
    assert.fail(told)
  })
