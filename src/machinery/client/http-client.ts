import type { ApiObject, Kind } from '#apis/meta/object.ts'
import { Fault } from '#base/fault.ts'
import { isObject, type Json, type JsonObject } from '#base/json.ts'
import type { Client, DeleteOptions, Key, Scope, WatchEvent, WriteOptions } from './client.ts'
import type { Connection } from './connection.ts'
import { faultOfStatus } from './faults.ts'

type AnyKind = Pick<Kind, 'group' | 'version' | 'plural' | 'namespaced'>

/** A client in another process than the server's: the same contract over HTTPS. */
export class HttpClient implements Client {
  readonly #connection: Connection
  readonly #signal: AbortSignal | undefined

  /** When `signal` aborts, whatever is under way ends in a Fault Aborted. */
  constructor(connection: Connection, signal?: AbortSignal) {
    this.#connection = connection
    this.#signal = signal
  }

  /** The same client for what must end by when the signal aborts. */
  until(signal: AbortSignal): HttpClient {
    return new HttpClient(this.#connection, signal)
  }

  async get<T extends ApiObject>(kind: Kind<T>, key: Key): Promise<T | undefined> {
    return orUndefined(kind, () => this.#send<T>('GET', pathOf(kind, key)))
  }

  async list<T extends ApiObject>(kind: Kind<T>, scope: Scope = {}) {
    const list = await this.#send<{ items: T[]; metadata: { resourceVersion: string } }>(
      'GET',
      `${pathOf(kind, scope)}${queryOf(selectorsOf(scope))}`,
    )
    return { items: list.items, resourceVersion: list.metadata.resourceVersion }
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
        const { type, object } = JSON.parse(line) as { type: string; object: T }
        if (type === 'ERROR') {
          if (events.length) yield events
          throw faultOfStatus(object as unknown as JsonObject)
        }
        events.push(
          type === 'BOOKMARK'
            ? { type, resourceVersion: object.metadata.resourceVersion ?? '' }
            : ({ type, object } as WatchEvent<T>),
        )
      }
      yield events
    }
  }

  async create<T extends ApiObject>(kind: Kind<T>, object: T, options: WriteOptions = {}): Promise<T> {
    const { namespace = 'default' } = object.metadata
    return this.#send<T>('POST', `${pathOf(kind, { namespace })}${trialOf(options)}`, object)
  }

  async modify<T extends ApiObject>(
    kind: Kind<T>,
    key: Key,
    change: (current: T) => T | undefined,
    { subresource, ...options }: WriteOptions & { subresource?: 'status' } = {},
  ): Promise<T | undefined> {
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
        return await this.#send<T>('PUT', path, body)
      } catch (error) {
        if (!(error instanceof Fault) || (error.kind !== 'Conflict' && error.kind !== 'NotFound')) throw error
        current = await this.get(kind, key)
        // Nobody else was faster: what is in conflict is the change itself.
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
  ): Promise<T> {
    return this.#send<T>('PATCH', `${pathOf(kind, key)}${trialOf(options)}`, operations, 'application/json-patch+json')
  }

  /** Asks for anything else, such as a verb of a VM. Resolves to what was answered, if anything. */
  async call(method: string, path: string, body?: JsonObject): Promise<Json | undefined> {
    return this.#connection.send(method, path, { ...(body && { body }), signal: this.#signal })
  }

  async #send<R = unknown>(method: string, path: string, body?: unknown, type?: string): Promise<R> {
    const sending = { body, ...(type && { type }), signal: this.#signal }
    return (await this.#connection.send(method, path, sending)) as R
  }
}

/** `/apis/GROUP/VERSION[/namespaces/NAMESPACE]/PLURAL[/NAME]` */
function pathOf({ group, version, plural, namespaced }: AnyKind, where: Scope & Partial<Key>): string {
  const { name } = where
  // An object of a namespaced kind is somewhere; a list may be of everywhere.
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

/** Undefined for an object that is not there; that its kind is not served is another matter. */
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
