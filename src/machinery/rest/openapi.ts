import { apiVersionOf, type Kind } from '#apis/meta/object.ts'
import { isObject, type Json, type JsonObject } from '#base/json.ts'
import { applyType } from './apply/request.ts'
import { tagOf } from './fixed-document.ts'
import { patchTypes } from './patch.ts'

type GroupVersion = Readonly<{ group: string; version: string }>

/** `/openapi/v3`: where the document of each group and version is. The hash lets kubectl cache it. */
export const openapiIndex = rememberedByKinds((kinds): JsonObject => {
  const entries = groupVersions(kinds).map(({ group, version }) => {
    const path = group ? `apis/${group}/${version}` : `api/${version}`
    const hash = tagOf(Buffer.from(JSON.stringify(openapiOf(kinds, group, version))))
    return [path, { serverRelativeURL: `/openapi/v3/${path}?hash=${hash}` }]
  })
  return { paths: Object.fromEntries(entries) }
})

/** Makes a document of some kinds once: every client requests it, and it takes milliseconds. */
export function rememberedByKinds<T extends JsonObject>(make: (kinds: readonly Kind[]) => T) {
  const documents = new WeakMap<readonly Kind[], T>()
  return (kinds: readonly Kind[]): T => {
    const document = documents.get(kinds) ?? make(kinds)
    documents.set(kinds, document)
    return document
  }
}

/** The OpenAPI 3.0 document of one group and version, enough for `kubectl explain` and client-side validation. */
export function openapiOf(kinds: readonly Kind[], group: string, version: string): JsonObject | undefined {
  return documentsOf(kinds).get(apiVersionOf({ group, version }))
}

const documentsByKinds = new WeakMap<readonly Kind[], ReadonlyMap<string, JsonObject>>()

function documentsOf(kinds: readonly Kind[]): ReadonlyMap<string, JsonObject> {
  const known = documentsByKinds.get(kinds)
  if (known) return known
  const documents = new Map([...Map.groupBy(kinds, apiVersionOf)].map(([name, here]) => [name, documentOf(here)]))
  documentsByKinds.set(kinds, documents)
  return documents
}

function documentOf(here: readonly Kind[]): JsonObject {
  return {
    openapi: '3.0.0',
    info: { title: 'Patchbay', version: '1' },
    paths: Object.fromEntries(here.flatMap(paths)),
    components: {
      schemas: {
        [metaName]: withMergeKeys(objectMeta),
        ...Object.fromEntries(here.map((kind) => [schemaName(kind), schemaOf(kind)])),
      },
    },
  }
}

/** The documents of all groups and versions. */
export function openapiDocuments(kinds: readonly Kind[]): readonly JsonObject[] {
  return [...documentsOf(kinds).values()]
}

const metaName = 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta'
const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` })
const string = { type: 'string' }
const strings = { type: 'object', additionalProperties: string }

const objectMeta: JsonObject = {
  type: 'object',
  description: 'Metadata that all objects have.',
  properties: {
    name: string,
    generateName: string,
    namespace: string,
    uid: string,
    resourceVersion: string,
    generation: { type: 'integer', format: 'int64' },
    creationTimestamp: { type: 'string', format: 'date-time' },
    deletionTimestamp: { type: 'string', format: 'date-time' },
    deletionGracePeriodSeconds: { type: 'integer', format: 'int64' },
    labels: strings,
    annotations: strings,
    finalizers: { type: 'array', items: string, 'x-kubernetes-list-type': 'set' },
    ownerReferences: {
      type: 'array',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['uid'],
      items: {
        type: 'object',
        properties: {
          apiVersion: string,
          kind: string,
          name: string,
          uid: string,
          controller: { type: 'boolean' },
          blockOwnerDeletion: { type: 'boolean' },
        },
      },
    },
    managedFields: { type: 'array', items: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
  },
}

function schemaName(kind: Kind): string {
  const group = (kind.group || 'core.k8s.io').split('.').reverse().join('.')
  return `${group}.${kind.version}.${kind.kind}`
}

function schemaOf(kind: Kind): JsonObject {
  const schema = withMergeKeys(kind.schema)
  const { properties, ...rest } = isObject(schema) ? schema : {}
  return {
    ...rest,
    properties: { ...(isObject(properties) && properties), metadata: ref(metaName) },
    'x-kubernetes-group-version-kind': [gvk(kind)],
  }
}

/**
 * A schema whose keyed lists and sets also say so in the words of strategic merge patches. By them kubectl applies only what
 * differs inside of a list, not the list as a whole without what the server has filled in.
 */
function withMergeKeys(schema: Json): Json {
  if (Array.isArray(schema)) return schema.map(withMergeKeys)
  if (!isObject(schema)) return schema
  const entries = Object.entries(schema).map(([key, below]) => [
    key,
    below === undefined ? below : withMergeKeys(below),
  ])
  const inner = Object.fromEntries(entries)
  const type = schema['x-kubernetes-list-type']
  const keys = schema['x-kubernetes-list-map-keys']
  if (type !== 'set' && type !== 'map') return inner
  return {
    ...inner,
    'x-kubernetes-patch-strategy': 'merge',
    ...(Array.isArray(keys) && { 'x-kubernetes-patch-merge-key': keys[0] ?? '' }),
  }
}

const gvk = (kind: Kind) => ({ group: kind.group, version: kind.version, kind: kind.kind })

function paths(kind: Kind): [string, JsonObject][] {
  const root = kind.group ? `/apis/${kind.group}/${kind.version}` : `/api/${kind.version}`
  const collection = `${root}/${kind.namespaced ? 'namespaces/{namespace}/' : ''}${kind.plural}`
  const content = { 'application/json': { schema: ref(schemaName(kind)) } }
  const patches = Object.fromEntries([...patchTypes, applyType].map((type) => [type, { schema: { type: 'object' } }]))
  const operation = (action: string, query: string[], body?: JsonObject): JsonObject => ({
    'x-kubernetes-action': action,
    'x-kubernetes-group-version-kind': gvk(kind),
    parameters: query.map((name) => ({ name, in: 'query', schema: string })),
    ...(body && { requestBody: { content: body } }),
    responses: { '200': { description: 'OK', content } },
  })
  const [plural, ...subresource] = kind.plural.split('/')
  // A verb: a subresource of an object, which is read.
  if (subresource.length)
    return [
      [`${root}/namespaces/{namespace}/${plural}/{name}/${subresource.join('/')}`, { get: operation('connect', []) }],
    ]
  const selectors = ['labelSelector', 'fieldSelector']
  const write = ['dryRun', 'fieldManager', 'fieldValidation']
  return [
    [
      collection,
      {
        get: operation('list', [...selectors, 'watch', 'limit', 'continue', 'resourceVersion', 'resourceVersionMatch']),
        post: operation('post', write, content),
      },
    ],
    [
      `${collection}/{name}`,
      {
        get: operation('get', []),
        put: operation('put', write, content),
        patch: operation('patch', [...write, 'force'], patches),
        delete: operation('delete', ['dryRun', 'propagationPolicy']),
      },
    ],
  ]
}

function groupVersions(kinds: readonly Kind[]): GroupVersion[] {
  const seen = new Map<string, GroupVersion>(
    kinds.map((kind) => [apiVersionOf(kind), { group: kind.group, version: kind.version }]),
  )
  return [...seen.values()]
}
