import type { ResourcePath } from '../path.ts'
import { flag, type Query } from '../request.ts'
import type { Attributes } from './rules.ts'

/** What a request wants to do, in the words that rules use. */
export function attributesOf(
  method: string,
  path: string,
  resource: ResourcePath | undefined,
  query: Query,
): Attributes {
  if (!resource) return { verb: method.toLowerCase(), path }
  const { group, plural, subresource } = resource
  const verb = verbOf(method, resource, query)
  const name = resource.name ?? (selecting.has(verb) ? nameInSelector(query) : undefined)
  // A namespace is an object of its own namespace: a user with all rights in it may get it.
  const isNamespace = group === '' && plural === 'namespaces'
  const namespace = isNamespace ? resource.name : resource.namespace
  return {
    verb,
    group,
    resource: plural,
    ...(subresource && { subresource }),
    ...(namespace && { namespace }),
    ...(name && { name }),
    ...(query.fieldSelector && { fieldSelector: query.fieldSelector }),
    ...(query.labelSelector && { labelSelector: query.labelSelector }),
  }
}

function verbOf(method: string, { name }: ResourcePath, query: Query): string {
  switch (method) {
    case 'GET':
    case 'HEAD':
      if (flag(query.watch)) return 'watch'
      return name === undefined ? 'list' : 'get'
    case 'POST':
      return 'create'
    case 'PUT':
      return 'update'
    case 'DELETE':
      return name === undefined ? 'deletecollection' : 'delete'
    default:
      return method.toLowerCase()
  }
}

/** Verbs that a selector narrows down. Of any other it says nothing: who creates an object names it in the body. */
const selecting: ReadonlySet<string> = new Set(['list', 'watch', 'deletecollection'])

/** A list of one named object needs the right to that one only. */
function nameInSelector({ fieldSelector }: Query): string | undefined {
  return /^metadata\.name==?([^,=!]+)$/.exec(fieldSelector ?? '')?.[1]
}
