import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Lease } from '#apis/coordination/lease.ts'
import { ConfigMap } from '#apis/core/configmap.ts'
import { Event } from '#apis/core/event.ts'
import type { Kind } from '#apis/meta/object.ts'
import { Role } from '#apis/rbac/role.ts'
import type { JsonObject } from '#base/json.ts'
import { Widget } from '#kit/machinery/rest/rest-kit.ts'
import type { Fields } from './fields.ts'
import { shapeOf } from './schema.ts'
import { compare } from './typed.ts'

const widget: Kind = Widget
const owner = { apiVersion: 'v1', kind: 'ConfigMap', name: 'o', uid: 'u' }

/** What an update from one object to another makes its writer own, and takes from all. */
const rows: readonly [what: string, kind: Kind, a: JsonObject, b: JsonObject, changed: Fields, removed: Fields][] = [
  [
    'a map that came',
    ConfigMap,
    { metadata: {} },
    { metadata: { labels: { x: '1' } }, data: { k: 'v' } },
    { 'f:metadata': { 'f:labels': { '.': {}, 'f:x': {} } }, 'f:data': { '.': {}, 'f:k': {} } },
    {},
  ],
  [
    'a key of a map that was there',
    ConfigMap,
    { data: { k: 'v' } },
    { data: { k: 'v', l: 'w' } },
    { 'f:data': { 'f:l': {} } },
    {},
  ],
  ['a map that went', ConfigMap, { data: { k: 'v' } }, {}, {}, { 'f:data': { '.': {}, 'f:k': {} } }],
  ['the last key of a map', ConfigMap, { data: { k: 'v' } }, { data: {} }, {}, { 'f:data': { 'f:k': {} } }],
  ['an empty map that came', ConfigMap, {}, { data: {} }, { 'f:data': {} }, {}],
  [
    'a set and a list that came',
    ConfigMap,
    {},
    { metadata: { finalizers: ['x/y'], ownerReferences: [owner] } },
    {
      'f:metadata': {
        'f:finalizers': { '.': {}, 'v:"x/y"': {} },
        'f:ownerReferences': { '.': {}, 'k:{"uid":"u"}': {} },
      },
    },
    {},
  ],
  [
    'an item of a set that was there',
    ConfigMap,
    { metadata: { finalizers: ['x/y'] } },
    { metadata: { finalizers: ['x/y', 'x/z'] } },
    { 'f:metadata': { 'f:finalizers': { 'v:"x/z"': {} } } },
    {},
  ],
  [
    'a struct of Go, which is always there',
    Lease,
    {},
    { spec: { holderIdentity: 'me' } },
    { 'f:spec': { 'f:holderIdentity': {} } },
    {},
  ],
  [
    'a struct of Go that is emptied',
    Lease,
    { spec: { holderIdentity: 'me' } },
    {},
    {},
    { 'f:spec': { 'f:holderIdentity': {} } },
  ],
  [
    'a struct of Go that is a pointer',
    Event,
    { involvedObject: { name: 'a' } },
    { involvedObject: { name: 'a' }, series: { count: 2 }, source: { host: 'h' } },
    { 'f:series': { '.': {}, 'f:count': {} }, 'f:source': { 'f:host': {} } },
    {},
  ],
  ['a list that is one value', Role, {}, { rules: [{ verbs: ['get'] }] }, { 'f:rules': {} }, {}],
  [
    'the spec of a custom resource, which nothing says is always there',
    widget,
    {},
    { spec: { size: 1, named: { a: { n: 1 } }, free: { b: { c: 1 } } } },
    {
      'f:spec': {
        '.': {},
        'f:size': {},
        'f:named': { '.': {}, 'f:a': { '.': {}, 'f:n': {} } },
        'f:free': { '.': {}, 'f:b': { '.': {}, 'f:c': {} } },
      },
    },
    {},
  ],
]
for (const [what, kind, a, b, changed, removed] of rows)
  test(`${what} is owned as by an update of Kubernetes`, () => {
    assert.deepEqual(compare(shapeOf(kind), a, b), { changed, removed })
  })
