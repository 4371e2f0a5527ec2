import type { TestContext } from 'node:test'
import type { ApiObject, Kind } from '#apis/meta/object.ts'
import { Fault } from '#base/fault.ts'
import { isObject, type JsonObject } from '#base/json.ts'
import type { Doc } from '#machinery/rest/doc.ts'
import { Registry, type WriteOptions } from '#machinery/rest/registry.ts'
import { type Served, serve } from '#machinery/rest/strategy.ts'
import { openMemoryStore } from '../store/memory.ts'

type Widget = ApiObject & Readonly<{ spec: Readonly<{ size?: number; tags?: readonly string[] }>; status?: JsonObject }>

/** A kind made up for tests. */
export const Widget: Kind<Widget> = {
  group: 'example.com',
  version: 'v1',
  kind: 'Widget',
  plural: 'widgets',
  singular: 'widget',
  shortNames: ['w'],
  categories: [],
  namespaced: true,
  status: true,
  columns: [{ name: 'Size', type: 'integer', path: 'spec.size' }],
  schema: {
    type: 'object',
    required: ['spec'],
    properties: {
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      spec: {
        type: 'object',
        properties: {
          size: { type: 'integer', minimum: 1 },
          color: { type: 'string', enum: ['red', 'blue'] },
          amount: { 'x-kubernetes-int-or-string': true },
          tags: { type: 'array', items: { type: 'string' }, maxItems: 3 },
          parts: { type: 'array', items: { type: 'object', properties: { name: { type: 'string' } } } },
          named: { type: 'object', additionalProperties: { type: 'object', properties: { n: { type: 'integer' } } } },
          free: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
        },
      },
      status: { type: 'object', properties: { phase: { type: 'string' } } },
    },
  },
}

/** Namespaces, of which these kinds need one. */
export const namespaces: Kind = {
  ...Widget,
  group: '',
  kind: 'Namespace',
  plural: 'namespaces',
  namespaced: false,
  columns: [],
  schema: { type: 'object', properties: { apiVersion: { type: 'string' }, kind: { type: 'string' } } },
}

export const admin: WriteOptions = { user: { name: 'admin', groups: ['system:masters'] } }

/** A registry over a store in memory with a namespace `default`, closed after the test. */
export async function openRegistry(t: TestContext, served: readonly Served[] = [serve(Widget)]): Promise<Registry> {
  const store = openMemoryStore()
  t.after(() => store.close())
  const registry = new Registry(store, [serve(namespaces), ...served])
  await registry.create(namespaces, undefined, { metadata: { name: 'default' } }, admin)
  return registry
}

/** A widget as a client sends it. */
export function widget(name: string, spec: JsonObject = {}, metadata: JsonObject = {}): JsonObject {
  return { apiVersion: 'example.com/v1', kind: 'Widget', metadata: { name, ...metadata }, spec }
}

/** Creates a widget in the namespace `default`. */
export function makeWidget(
  registry: Registry,
  name: string,
  spec: JsonObject = {},
  metadata: JsonObject = {},
): Promise<Doc> {
  return registry.create(Widget, 'default', widget(name, spec, metadata), admin)
}

/** The Fault something throws, synchronously or not; throws when it does not. */
export async function faultIn(work: () => unknown): Promise<Fault> {
  try {
    await work()
  } catch (error) {
    if (error instanceof Fault) return error
    throw error
  }
  throw new Error('Nothing was thrown')
}

/** The spec of an object of any kind. */
export function specOf({ spec }: Doc): JsonObject {
  return isObject(spec) ? spec : {}
}
