import type { Kind } from '#apis/meta/object.ts'
import type { JsonObject } from '#base/json.ts'
import { verbs } from './discovery.ts'
import { remembered } from './fixed-document.ts'

/** The media type of discovery in one answer. */
export const discoveryType = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList'

/** `/api` and `/apis` with all that is below them, for clients that say they understand it; undefined for others. */
export function aggregatedAt(kinds: readonly Kind[], path: string, accept: string | undefined): JsonObject | undefined {
  const parts = path.split('/').filter(Boolean)
  if (parts.length !== 1 || (parts[0] !== 'api' && parts[0] !== 'apis') || !understands(accept)) return undefined
  return discovery(kinds, parts[0])
}

const discovery = remembered((kinds: readonly Kind[], root) => {
  const groups = [...new Set(kinds.map(({ group }) => group))]
    .filter((group) => (group === '') === (root === 'api'))
    .sort()
  return {
    kind: 'APIGroupDiscoveryList',
    apiVersion: 'apidiscovery.k8s.io/v2',
    metadata: {},
    items: groups.map((group) => groupOf(kinds.filter((kind) => kind.group === group))),
  }
})

/** Whether one of the accepted types is ours, whatever the order and spacing of its parameters. */
function understands(accept = ''): boolean {
  const wanted = discoveryType.split(';')
  return accept.split(',').some((type) => {
    const parts = type.split(';').map((part) => part.trim())
    return wanted.every((part) => parts.includes(part))
  })
}

function groupOf(kinds: readonly Kind[]): JsonObject {
  const versions = [...new Set(kinds.map(({ version }) => version))]
  return {
    metadata: { name: kinds[0]?.group ?? '', creationTimestamp: null },
    versions: versions.map((version) => ({
      version,
      resources: kinds.filter((kind) => kind.version === version).map(resource),
      freshness: 'Current',
    })),
  }
}

function resource(kind: Kind): JsonObject {
  const { group, version, plural, singular, namespaced, shortNames, categories } = kind
  const responseKind = { group, version, kind: kind.kind }
  const status = { subresource: 'status', responseKind, verbs: ['get', 'patch', 'update'] }
  const more = (kind.subresources ?? []).map(({ name, verbs: own, ...what }) => ({
    subresource: name,
    responseKind: { ...responseKind, ...what },
    verbs: own,
  }))
  const subresources = [...(kind.status ? [status] : []), ...more]
  return {
    resource: plural,
    responseKind,
    scope: namespaced ? 'Namespaced' : 'Cluster',
    singularResource: singular,
    verbs: kind.verbs ?? verbs,
    ...(shortNames.length && { shortNames }),
    ...(categories.length && { categories }),
    ...(subresources.length && { subresources }),
  }
}
