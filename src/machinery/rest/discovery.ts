import { apiVersionOf, type Kind } from '#apis/meta/object.ts'
import type { JsonObject } from '#base/json.ts'

/** What can be done with every kind. */
export const verbs = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch']

/** `/api` */
export function coreVersions(): JsonObject {
  return { kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: [] }
}

/** `/apis` */
export function groupList(kinds: readonly Kind[]): JsonObject {
  return { kind: 'APIGroupList', apiVersion: 'v1', groups: groupsOf(kinds).map((group) => groupInfo(kinds, group)) }
}

/** `/apis/GROUP`; undefined when nothing is served under it. */
export function groupOf(kinds: readonly Kind[], group: string): JsonObject | undefined {
  if (!groupsOf(kinds).includes(group)) return undefined
  return { kind: 'APIGroup', apiVersion: 'v1', ...groupInfo(kinds, group) }
}

/** `/api/v1` and `/apis/GROUP/VERSION`; undefined when nothing is served under it. */
export function resourceList(kinds: readonly Kind[], group: string, version: string): JsonObject | undefined {
  const here = kinds.filter((kind) => kind.group === group && kind.version === version)
  if (!here.length) return undefined
  return {
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion: apiVersionOf({ group, version }),
    resources: here.flatMap(resources),
  }
}

function resources(kind: Kind): JsonObject[] {
  const { plural, singular, namespaced, shortNames, categories } = kind
  const own: JsonObject = {
    name: plural,
    singularName: singular,
    namespaced,
    kind: kind.kind,
    verbs: kind.verbs ?? verbs,
    ...(shortNames.length && { shortNames }),
    ...(categories.length && { categories }),
  }
  const status: JsonObject = {
    name: `${plural}/status`,
    singularName: '',
    namespaced,
    kind: kind.kind,
    verbs: ['get', 'patch', 'update'],
  }
  const more = (kind.subresources ?? []).map(({ name, ...what }) => ({
    name: `${plural}/${name}`,
    singularName: '',
    namespaced,
    ...what,
  }))
  return [own, ...(kind.status ? [status] : []), ...more]
}

function groupsOf(kinds: readonly Kind[]): string[] {
  return [...new Set(kinds.map((kind) => kind.group))].filter((group) => group !== '').sort()
}

function groupInfo(kinds: readonly Kind[], group: string): JsonObject {
  const versions = [...new Set(kinds.filter((kind) => kind.group === group).map((kind) => kind.version))]
  const entries = versions.map((version) => ({ groupVersion: `${group}/${version}`, version }))
  return { name: group, versions: entries, preferredVersion: entries[0] }
}
