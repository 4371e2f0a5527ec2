import { createHash } from 'node:crypto'
import { apiVersionOf, type Kind } from '#apis/meta/object.ts'
import type { JsonObject } from '#base/json.ts'

type GroupVersion = Readonly<{ group: string; version: string }>

/** `/openapi/v3`: where the document of each group and version is. The hash lets kubectl cache it. */
export function openapiIndex(kinds: readonly Kind[]): JsonObject {
  const entries = groupVersions(kinds).map(({ group, version }) => {
    const path = group ? `apis/${group}/${version}` : `api/${version}`
    const hash = createHash('sha256')
      .update(JSON.stringify(openapiOf(kinds, group, version)))
      .digest('hex')
      .slice(0, 32)
    return [path, { serverRelativeURL: `/openapi/v3/${path}?hash=${hash}` }]
  })
  return { paths: Object.fromEntries(entries) }
}

/** The OpenAPI 3.0 document of one group and version, enough for `kubectl explain` and client-side validation. */
export function openapiOf(kinds: readonly Kind[], group: string, version: string): JsonObject | undefined {
  const here = kinds.filter((kind) => kind.group === group && kind.version === version)
  if (!here.length) return undefined
  return {
    openapi: '3.0.0',
    info: { title: 'Patchbay', version: '1' },
    paths: Object.fromEntries(here.flatMap(paths)),
    components: {
      schemas: {
        [metaName]: objectMeta,
        ...Object.fromEntries(here.map((kind) => [schemaName(kind), schemaOf(kind)])),
      },
    },
  }
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
  const { properties, ...rest } = kind.schema as JsonObject
  return {
    ...rest,
    properties: { ...(properties as JsonObject), metadata: ref(metaName) },
    'x-kubernetes-group-version-kind': [gvk(kind)],
  }
}

const gvk = (kind: Kind) => ({ group: kind.group, version: kind.version, kind: kind.kind })

function paths(kind: Kind): [string, JsonObject][] {
  const root = kind.group ? `/apis/${kind.group}/${kind.version}` : `/api/${kind.version}`
  const collection = `${root}/${kind.namespaced ? 'namespaces/{namespace}/' : ''}${kind.plural}`
  const content = { 'application/json': { schema: ref(schemaName(kind)) } }
  const operation = (action: string, query: string[], body: boolean): JsonObject => ({
    'x-kubernetes-action': action,
    'x-kubernetes-group-version-kind': gvk(kind),
    parameters: query.map((name) => ({ name, in: 'query', schema: string })),
    ...(body && { requestBody: { content } }),
    responses: { '200': { description: 'OK', content } },
  })
  const selectors = ['labelSelector', 'fieldSelector']
  const write = ['dryRun', 'fieldManager', 'fieldValidation']
  return [
    [
      collection,
      {
        get: operation(
          'list',
          [...selectors, 'watch', 'limit', 'continue', 'resourceVersion', 'resourceVersionMatch'],
          false,
        ),
        post: operation('post', write, true),
      },
    ],
    [
      `${collection}/{name}`,
      {
        get: operation('get', [], false),
        put: operation('put', write, true),
        patch: operation('patch', [...write, 'force'], true),
        delete: operation('delete', ['dryRun', 'propagationPolicy'], false),
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
