import { type ApiObject, apiVersionOf, type Kind, type Stored } from '#apis/meta/object.ts'
import { Fault } from '#base/fault.ts'
import { isObject, type Json, type JsonObject } from '#base/json.ts'
import type { Client, DeleteOptions, Key, ModifyOptions, Scope, WatchEvent, WriteOptions } from './client.ts'
import type { Connection } from './connection.ts'
import { faultOfStatus } from './faults.ts'
import { draftOf, storedOf } from './stored.ts'

type AnyKind = Pick<Kind, 'group' | 'version' | 'plural' | 'namespaced'>

/** A client in another process than the server's: the same contract over HTTPS. */
export class HttpClient implements Client {
  readonly #connection: Connection
  readonly #signal: AbortSignal | undefined

  /** When `signal` aborts, everything in flight ends in a Fault Aborted. */
  constructor(connection: Connection, signal?: AbortSignal) {
    this.#connection = connection
    this.#signal = signal
  }

  /** Where the server is. */
  get server(): string {
    return this.#connection.server
  }

  /** The same client, bound to another signal. */
  until(signal: AbortSignal): HttpClient {
    return new HttpClient(this.#connection, signal)
  }

  async get<T extends ApiObject>(kind: Kind<T>, key: Key): Promise<Stored<T> | undefined> {
    return orUndefined(kind, async () => storedOf(kind, await this.#send('GET', pathOf(kind, key))))
  }

  async list<T extends ApiObject>(kind: Kind<T>, scope: Scope = {}) {
    const list = await this.#send('GET', `${pathOf(kind, scope)}${queryOf(selectorsOf(scope))}`)
    if (!isObject(list) || !Array.isArray(list.items))
      throw new Fault('Internal', `The server sent no list of ${kind.plural}`)
    // Items of lists of built-in kinds do not say what they are.
    const typed = { apiVersion: apiVersionOf(kind), kind: kind.kind }
    return {
      items: list.items.map((item: unknown) => storedOf(kind, isObject(item) ? { ...typed, ...item } : item)),
      resourceVersion: revisionIn(list.metadata),
    }
  }

  async *watch<T extends ApiObject>(
    kind: Kind<T>,
    resourceVersion: string,
    scope: Scope,
    signal: AbortSignal,
  ): AsyncIterable<readonly WatchEvent<T>[]> {
    const query = { watch: '1', allowWatchBookmarks: 'true', resourceVersion, ...selectorsOf(scope) }
    const until = this.#signal ? AbortSignal.any([signal, this.#signal]) : signal
    for await (const lines of this.#connection.lines(`${pathOf(kind, scope)}${queryOf(query)}`, until)) {
      const events: WatchEvent<T>[] = []
      for (const line of lines) {
        const event = eventOf(kind, line)
        if ('error' in event) {
          if (events.length) yield events
          throw event.error
        }
        events.push(event)
      }
      yield events
    }
  }

  create<T extends ApiObject>(kind: Kind<T>, object: T): Promise<Stored<T>>
  create<T extends ApiObject>(kind: Kind<T>, object: T, options: WriteOptions): Promise<T>
  async create<T extends ApiObject>(kind: Kind<T>, object: T, options: WriteOptions = {}): Promise<T> {
    const { namespace = 'default' } = object.metadata
    const made = await this.#send('POST', `${pathOf(kind, { namespace })}${trialOf(options)}`, object)
    return options.dryRun ? draftOf(kind, made) : storedOf(kind, made)
  }

  async modify<T extends ApiObject>(
    kind: Kind<T>,
    key: Key,
    change: (current: Stored<T>) => T | undefined,
    { subresource, ...options }: ModifyOptions = {},
  ): Promise<Stored<T> | undefined> {
    const path = `${pathOf(kind, key)}${subresource ? `/${subresource}` : ''}${trialOf(options)}`
    let current = await this.get(kind, key)
    while (current) {
      const { resourceVersion } = current.metadata
      const wanted = change(current)
      if (wanted === undefined || wanted === current) return current
      const body = {
        ...wanted,
        metadata: { ...wanted.metadata, resourceVersion: wanted.metadata.resourceVersion ?? resourceVersion },
      }
      try {
        return storedOf(kind, await this.#send('PUT', path, body))
      } catch (error) {
        if (!(error instanceof Fault) || (error.kind !== 'Conflict' && error.kind !== 'NotFound')) throw error
        current = await this.get(kind, key)
        // The object is unchanged: the change itself is in conflict.
        if (current?.metadata.resourceVersion === resourceVersion) throw error
      }
    }
    return undefined
  }

  async delete<T extends ApiObject>(kind: Kind<T>, key: Key, options: DeleteOptions = {}): Promise<void> {
    const { propagation, dryRun, ...preconditions } = options
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions, propagationPolicy: propagation }
    await orUndefined(kind, () => this.#send('DELETE', `${pathOf(kind, key)}${trialOf({ dryRun })}`, body))
  }

  /** Applies a JSON patch. @throws Fault Invalid when one of its tests fails, NotFound */
  async patch<T extends ApiObject>(
    kind: Kind<T>,
    key: Key,
    operations: readonly JsonObject[],
    options: WriteOptions = {},
  ): Promise<Stored<T>> {
    const path = `${pathOf(kind, key)}${trialOf(options)}`
    return storedOf(kind, await this.#send('PATCH', path, operations, 'application/json-patch+json'))
  }

  /** Applies a merge patch; one with a resourceVersion is of that state of the object only. @throws Fault NotFound, Conflict */
  async merge<T extends ApiObject>(
    kind: Kind<T>,
    key: Key,
    patch: object,
    options: WriteOptions = {},
  ): Promise<Stored<T>> {
    const path = `${pathOf(kind, key)}${trialOf(options)}`
    return storedOf(kind, await this.#send('PATCH', path, patch, 'application/merge-patch+json'))
  }

  /** Any other request, such as a verb of a VM. Resolves to the answer, if any. */
  async call(method: string, path: string, body?: JsonObject): Promise<Json | undefined> {
    return this.#connection.send(method, path, { ...(body && { body }), signal: this.#signal })
  }

  #send(method: string, path: string, body?: unknown, type?: string): Promise<Json | undefined> {
    return this.#connection.send(method, path, { body, ...(type && { type }), signal: this.#signal })
  }
}

/** One line of a watch. @throws Fault Internal when malformed */
function eventOf<T extends ApiObject>(kind: Kind<T>, line: string): WatchEvent<T> | { error: Fault } {
  const event: unknown = JSON.parse(line)
  if (!isObject(event)) throw new Fault('Internal', `The server sent no change of ${kind.plural}`)
  const { type, object } = event
  switch (type) {
    case 'ERROR':
      return { error: faultOfStatus(isObject(object) ? object : {}) }
    case 'BOOKMARK':
      return { type, resourceVersion: revisionIn(isObject(object) ? object.metadata : undefined) }
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
      return { type, object: storedOf(kind, object) }
    default:
      throw new Fault('Internal', `The server sent a change of ${kind.plural} of no known type`)
  }
}

/** @throws Fault Internal when metadata has none */
function revisionIn(metadata: unknown): string {
  if (isObject(metadata) && typeof metadata.resourceVersion === 'string') return metadata.resourceVersion
  throw new Fault('Internal', 'The server did not say of which resourceVersion its answer is')
}

/** `/apis/GROUP/VERSION[/namespaces/NAMESPACE]/PLURAL[/NAME]` */
function pathOf({ group, version, plural, namespaced }: AnyKind, where: Scope & Partial<Key>): string {
  const { name } = where
  // An object of a namespaced kind has a namespace; a list may cover all.
  const namespace = namespaced ? (where.namespace ?? (name === undefined ? undefined : 'default')) : undefined
  const root = group ? `/apis/${group}/${version}` : `/api/${version}`
  const inNamespace = namespace === undefined ? '' : `/namespaces/${encodeURIComponent(namespace)}`
  return `${root}${inNamespace}/${plural}${name === undefined ? '' : `/${encodeURIComponent(name)}`}`
}

function trialOf({ dryRun }: Readonly<{ dryRun?: boolean | undefined }>): string {
  return dryRun ? '?dryRun=All' : ''
}

function selectorsOf({ labelSelector, fieldSelector }: Scope): Record<string, string> {
  return { ...(labelSelector && { labelSelector }), ...(fieldSelector && { fieldSelector }) }
}

function queryOf(query: Record<string, string>): string {
  return Object.keys(query).length ? `?${new URLSearchParams(query)}` : ''
}

/** Undefined for a missing object; an unserved kind is an error. */
async function orUndefined<T>({ plural }: AnyKind, work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof Fault) || error.kind !== 'NotFound') throw error
    const { details } = error.data
    if (isObject(details) && details.kind === plural) return undefined
    throw error
  }
}
