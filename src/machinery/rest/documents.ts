import { apiVersionOf, type Kind } from '#apis/meta/object.ts'
import type { JsonObject } from '#base/json.ts'
import { coreVersions, groupList, groupOf, resourceList } from './discovery.ts'
import { remembered } from './fixed-document.ts'
import { openapiIndex, openapiOf } from './openapi.ts'

/** kubectl reads this for kinds missing in OpenAPI; without an answer it reports this instead of the kind. */
const noDefinitionsPath = 'apis/apiextensions.k8s.io/v1/customresourcedefinitions'
const noDefinitions: JsonObject = {
  kind: 'CustomResourceDefinitionList',
  apiVersion: 'apiextensions.k8s.io/v1',
  metadata: { resourceVersion: '0' },
  items: [],
}

/** Documents of OpenAPI v3, which describe what objects look like. */
export function openapiAt(kinds: readonly Kind[], path: string): JsonObject | undefined {
  const parts = path.split('/').filter(Boolean)
  if (parts[0] !== 'openapi' || parts[1] !== 'v3') return undefined
  if (parts.length === 2) return openapiIndex(kinds)
  return parts[2] === 'api' ? openapiOf(kinds, '', parts[3] ?? '') : openapiOf(kinds, parts[3] ?? '', parts[4] ?? '')
}

/**
 * Every kind, including those that only reviews use; with the verbs, which only discovery shows; and with the answers of verbs,
 * which only OpenAPI shows.
 */
export type Catalog = Readonly<{
  kinds: readonly Kind[]
  discovered: readonly Kind[]
  described: readonly Kind[]
}>

/** `/`: every path at which there is something to read, as the Kubernetes API server lists them. */
export function pathsOf(catalog: Catalog, more: readonly string[]): JsonObject {
  const { discovered, described: shown } = catalog
  const versions = discovered.map((kind) => (kind.group ? `/apis/${apiVersionOf(kind)}` : `/api/${kind.version}`))
  const groups = discovered.flatMap(({ group }) => (group ? [`/apis/${group}`] : []))
  const health = ['/healthz', '/livez', '/readyz'].flatMap((path) => [path, `${path}/ping`])
  const open = ['/api', '/apis', '/openapi/v3', '/version', ...health]
  const described = Object.keys(openapiIndex(shown).paths ?? {}).map((path) => `/openapi/v3/${path}`)
  return { paths: [...new Set([...open, ...versions, ...groups, ...described, ...more])].toSorted() }
}

/** Discovery documents. */
export function discoveryAt(kinds: readonly Kind[], path: string): JsonObject | undefined {
  return discovery(kinds, path.split('/').filter(Boolean).join('/'))
}

const discovery = remembered((kinds: readonly Kind[], path) => {
  const parts = path.split('/')
  const [, group = '', version = ''] = parts
  if (parts[0] === 'api')
    return parts.length === 1 ? coreVersions() : parts.length === 2 ? resourceList(kinds, '', group) : undefined
  if (parts[0] !== 'apis') return undefined
  if (path === noDefinitionsPath) return noDefinitions
  if (parts.length === 1) return groupList(kinds)
  if (parts.length === 2) return groupOf(kinds, group)
  return parts.length === 3 ? resourceList(kinds, group, version) : undefined
})
