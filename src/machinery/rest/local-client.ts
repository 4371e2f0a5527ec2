import type { ApiObject, Kind } from '#apis/meta/object.ts'
import { Fault, faultKind } from '#base/fault.ts'
import type { JsonObject } from '#base/json.ts'
import type { Client, DeleteOptions, Key, Scope, WatchEvent } from '../client/client.ts'
import { eventOf } from './events.ts'
import type { Registry } from './registry.ts'
import { parseFieldSelector, parseLabelSelector, type Selector } from './selector.ts'
import type { User } from './strategy.ts'

/** A client in the server's own process: the same contract and the same rules, without HTTP in between. */
export class LocalClient implements Client {
  readonly #registry: Registry
  readonly #user: User
  /** A component owns fields under its own name, without `system:`. */
  readonly #as: Readonly<{ user: User; manager: string }>

  constructor(registry: Registry, user: User) {
    this.#registry = registry
    this.#user = user
    this.#as = { user, manager: user.name.replace(/^system:/, '') }
  }

  async get<T extends ApiObject>(kind: Kind<T>, key: Key): Promise<T | undefined> {
    return orUndefined(this.#registry.get(plain(kind), key)) as Promise<T | undefined>
  }

  async list<T extends ApiObject>(kind: Kind<T>, scope: Scope = {}) {
    const { items, revision } = await this.#registry.list(plain(kind), scope.namespace)
    const selected = selectorOf(plain(kind), scope)
    return {
      items: items.filter((doc) => selected(doc as unknown as JsonObject)) as unknown as T[],
      resourceVersion: String(revision),
    }
  }

  async *watch<T extends ApiObject>(
    kind: Kind<T>,
    resourceVersion: string,
    scope: Scope,
    signal: AbortSignal,
  ): AsyncIterable<readonly WatchEvent<T>[]> {
    const selected = selectorOf(plain(kind), scope)
    for await (const changes of this.#registry.watch(plain(kind), scope.namespace, Number(resourceVersion), signal)) {
      const events = changes.map((change) => eventOf(change, selected)).filter((event) => event !== undefined)
      if (events.length) yield events as unknown as WatchEvent<T>[]
    }
  }

  async create<T extends ApiObject>(kind: Kind<T>, object: T): Promise<T> {
    const doc = await this.#registry.create(plain(kind), object.metadata.namespace, object as unknown as JsonObject, {
      ...this.#as,
    })
    return doc as unknown as T
  }

  async modify<T extends ApiObject>(
    kind: Kind<T>,
    key: Key,
    change: (current: T) => T | undefined,
    options: { subresource?: 'status' } = {},
  ): Promise<T | undefined> {
    const write = this.#registry.update(
      plain(kind),
      key,
      (current) => change(current as unknown as T) as unknown as JsonObject | undefined,
      { ...this.#as, ...options },
    )
    return orUndefined(write) as Promise<T | undefined>
  }

  async delete<T extends ApiObject>(kind: Kind<T>, key: Key, options: DeleteOptions = {}): Promise<void> {
    await orUndefined(this.#registry.delete(plain(kind), key, { user: this.#user, ...options }))
  }
}

const plain = <T extends ApiObject>(kind: Kind<T>) => kind as unknown as Kind

function selectorOf(kind: Kind, scope: Scope): Selector {
  const byLabel = parseLabelSelector(scope.labelSelector)
  const byField = parseFieldSelector(scope.fieldSelector, kind)
  return (object) => byLabel(object) && byField(object)
}

async function orUndefined(promise: Promise<unknown>): Promise<unknown> {
  try {
    return await promise
  } catch (error) {
    if (error instanceof Fault && faultKind(error) === 'NotFound') return undefined
    throw error
  }
}
