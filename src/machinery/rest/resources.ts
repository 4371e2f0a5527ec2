import { apiVersionOf, type Kind } from '#apis/meta/object.ts'
import { Fault, faultKind } from '#base/fault.ts'
import { isObject, type JsonObject } from '#base/json.ts'
import type { Encoding } from './accept.ts'
import { applyObject } from './apply/apply.ts'
import { applyType, managerOf } from './apply/request.ts'
import type { Doc } from './doc.ts'
import { notServed } from './json-answer.ts'
import { listPage, requireReached } from './list.ts'
import { applyPatch, type PatchType, patchTypes } from './patch.ts'
import type { ResourcePath } from './path.ts'
import { propagationOf } from './propagation.ts'
import type { DeleteOptions, Registry, WriteOptions } from './registry.ts'
import { Rendering } from './render.ts'
import { countOf, dryRunOf, fieldValidationOf, flag, isJson, objectBody, parseBody, type Query } from './request.ts'
import { parseSelectors } from './selector.ts'
import { deleted } from './status.ts'
import type { User } from './strategy.ts'
import { warnOfDuplicates } from './unknown.ts'

/** A request for resources, free of HTTP's machinery. */
export type ResourceRequest = Readonly<{
  method: string
  path: ResourcePath
  query: Query
  accept: string | undefined
  userAgent: string | undefined
  contentType: string
  body: Buffer | undefined
  user: User
  /** Receives warnings for the client, whether or not the request is refused in the end. */
  warn: (text: string) => void
  /** Refuses who may not create such an object: an apply, authorized as a patch, may come to that. @throws Fault Forbidden */
  requireCreate: () => void
}>

export type ResourceAnswer = Readonly<{ code: number; body: JsonObject; encoding: Encoding }>

/** What methods that write do to single objects. */
const writes: ReadonlyMap<string, string> = new Map([
  ['POST', 'create'],
  ['PUT', 'update'],
  ['PATCH', 'patch'],
  ['DELETE', 'delete'],
])

/** Answers everything about resources but watches. @throws Fault, to become a Status */
export async function answer(registry: Registry, kind: Kind, request: ResourceRequest): Promise<ResourceAnswer> {
  const { path, method } = request
  const verb = path.name === undefined && method === 'DELETE' ? 'deletecollection' : writes.get(method)
  if (verb !== undefined && kind.verbs && !kind.verbs.includes(verb)) throw notAllowed(method)
  const call = new Call(registry, kind, request)
  const [code, body] = path.name === undefined ? await call.collection(method) : await call.object(method, path.name)
  return { code, body, encoding: call.rendering.encoding }
}

/** What may be sent along with a deletion. */
const deleteOptions = { group: '', version: 'v1', kind: 'DeleteOptions' } as const

class Call {
  readonly #registry: Registry
  readonly #kind: Kind
  readonly #request: ResourceRequest
  readonly rendering: Rendering

  /** @throws Fault NotAcceptable, before anything is done */
  constructor(registry: Registry, kind: Kind, request: ResourceRequest) {
    this.#registry = registry
    this.#kind = kind
    this.#request = request
    const isOne = request.path.name !== undefined || request.method === 'POST'
    this.rendering = new Rendering(kind, request, isOne ? 'one' : 'list')
  }

  async collection(method: string): Promise<[number, JsonObject]> {
    const { path, query, user } = this.#request
    if (method === 'GET') return [200, await this.#list()]
    // Across all namespaces there is only reading.
    if (this.#kind.namespaced && path.namespace === undefined) throw notAllowed(method)
    if (method === 'POST') {
      const input = this.#input()
      const doc = await this.#registry.create(this.#kind, path.namespace, input, this.#write())
      return [201, this.rendering.one(doc)]
    }
    if (method === 'DELETE') {
      const given = this.#deleteOptions()
      const propagation = propagationOf(query, given)
      const options = { user, dryRun: dryRunOf(method, query, given), ...(propagation && { propagation }) }
      const doomed = await this.#selected()
      for (const doc of doomed) await this.#deleteIfThere(doc, options)
      return [200, this.rendering.list(doomed, { resourceVersion: String(this.#registry.store.revision) })]
    }
    throw notAllowed(method)
  }

  async object(method: string, name: string): Promise<[number, JsonObject]> {
    const { path, contentType, body } = this.#request
    if (path.subresource !== undefined && (path.subresource !== 'status' || !this.#kind.status)) throw notServed()
    const key = { name, ...(path.namespace !== undefined && { namespace: path.namespace }) }
    switch (method) {
      case 'GET':
        requireReached(this.#registry, countOf(this.#request.query, 'resourceVersion'))
        return [200, this.rendering.one(await this.#registry.get(this.#kind, key))]
      case 'PUT': {
        const input = this.#input()
        return [200, this.rendering.one(await this.#registry.update(this.#kind, key, () => input, this.#write()))]
      }
      case 'PATCH': {
        if (contentType === applyType) return this.#apply(key)
        const type = patchType(contentType)
        const patch = parseBody('application/json', body)
        if (type !== 'application/json-patch+json') this.#warnOfDuplicates()
        // Half of an object can be managedFields; only patches that mean them have to carry them along.
        const meant = body?.includes('managedFields') ?? false
        const change = (current: Doc) => applyPatch(this.#kind, type, meant ? current : withoutManagers(current), patch)
        return [200, this.rendering.one(await this.#registry.update(this.#kind, key, change, this.#write()))]
      }
      case 'DELETE':
        return this.#delete(key)
      default:
        throw notAllowed(method)
    }
  }

  async #apply(key: { name: string; namespace?: string }): Promise<[number, JsonObject]> {
    const { query, body, requireCreate } = this.#request
    const options = { ...this.#write(), force: flag(query.force), requireCreate }
    const config = requireTyped(this.#kind, objectBody('application/yaml', body))
    const { doc, isNew } = await applyObject(this.#registry, this.#kind, key, config, options)
    return [isNew ? 201 : 200, this.rendering.one(doc)]
  }

  async #delete(key: { name: string; namespace?: string }): Promise<[number, JsonObject]> {
    const { query, user } = this.#request
    if (this.#request.path.subresource) throw notAllowed('DELETE')
    const options = this.#deleteOptions()
    const given = isObject(options.preconditions) ? options.preconditions : {}
    const propagation = propagationOf(query, options)
    const { doc, gone } = await this.#registry.delete(this.#kind, key, {
      user,
      dryRun: dryRunOf('DELETE', query, options),
      ...(propagation && { propagation }),
      ...(typeof given.uid === 'string' && { uid: given.uid }),
      ...(typeof given.resourceVersion === 'string' && { resourceVersion: given.resourceVersion }),
    })
    if (!gone) return [200, this.rendering.one(doc)]
    return [200, deleted(this.#kind.group, this.#kind.plural, key.name, doc.metadata.uid)]
  }

  /** The object that was sent. Duplicate fields of its JSON are reported like unknown ones. */
  #input(): JsonObject {
    const { contentType, body } = this.#request
    const input = objectBody(contentType, body, this.#kind)
    if (isJson(contentType)) this.#warnOfDuplicates()
    return input
  }

  #warnOfDuplicates(): void {
    const { method, body, query, warn } = this.#request
    warnOfDuplicates(this.#kind, String(body), { unknownFields: fieldValidationOf(method, query), warn })
  }

  #deleteOptions(): JsonObject {
    const { contentType, body } = this.#request
    return body?.length ? objectBody(contentType, body, deleteOptions) : {}
  }

  /** Deletes one of many; a conflict does not matter. */
  async #deleteIfThere(doc: Doc, options: DeleteOptions): Promise<void> {
    try {
      await this.#registry.delete(this.#kind, keyOf(doc), options)
    } catch (error) {
      if (faultKind(error) !== 'NotFound') throw error
    }
  }

  async #selected(): Promise<Doc[]> {
    const { path, query } = this.#request
    const { items } = await this.#registry.list(this.#kind, path.namespace)
    return items.filter(parseSelectors(query, this.#kind))
  }

  async #list(): Promise<JsonObject> {
    const { path, query } = this.#request
    const { items, metadata } = await listPage(this.#registry, this.#kind, path.namespace, query)
    return this.rendering.list(items, metadata)
  }

  #write(): WriteOptions {
    const { method, path, query, user, warn } = this.#request
    return {
      user,
      manager: managerOf(this.#request),
      dryRun: dryRunOf(method, query),
      unknownFields: fieldValidationOf(method, query),
      warn,
      ...(path.subresource === 'status' && { subresource: 'status' as const }),
    }
  }
}

/** A configuration that says of which kind it is; other bodies may leave that to their path. @throws Fault BadRequest */
function requireTyped(kind: Kind, config: JsonObject): JsonObject {
  if (typeof config.kind !== 'string' || !config.kind)
    throw new Fault('BadRequest', "Object 'Kind' is missing in the applied configuration")
  const { apiVersion = '' } = config
  if (apiVersion === apiVersionOf(kind)) return config
  throw new Fault(
    'BadRequest',
    `Incorrect version specified in apply patch. Specified patch version: ${String(apiVersion)}, expected: ${apiVersionOf(kind)}`,
  )
}

function withoutManagers(doc: Doc): Doc {
  const { managedFields: _, ...metadata } = doc.metadata
  return { ...doc, metadata }
}

function keyOf(doc: Doc) {
  const { name, namespace } = doc.metadata
  return { name, ...(namespace !== undefined && { namespace }) }
}

function patchType(contentType: string): PatchType {
  const type = patchTypes.find((known) => known === contentType)
  if (type) return type
  throw new Fault(
    'Unsupported',
    `the body of the request was in an unknown format - accepted media types include: ${[...patchTypes, applyType].join(', ')}`,
  )
}

/** A method that means nothing where it was sent. */
export function notAllowed(method: string): Fault {
  return new Fault('NotAllowed', `the server does not allow this method on the requested resource: ${method}`)
}
