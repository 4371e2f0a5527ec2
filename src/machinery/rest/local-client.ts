import type { ApiObject, Kind, Stored } from '#apis/meta/object.ts'
import { Fault, faultKind } from '#base/fault.ts'
import type { Client, DeleteOptions, Key, ModifyOptions, Scope, WatchEvent, WriteOptions } from '../client/client.ts'
import { draftOf, storedOf } from '../client/stored.ts'
import type { Authorizer } from './access/authorizer.ts'
import { eventOf } from './events.ts'
import type { Registry } from './registry.ts'
import { parseSelectors } from './selector.ts'
import type { User } from './strategy.ts'

/** Who a local client is. */
type Self = Readonly<{
  user: User
  /** The name under which it owns the fields it writes. */
  manager: string
  /** What decides what it may do; without it, it may do everything. */
  access?: Authorizer
}>

/** A client in the server's own process: the same contract and the same rules, without HTTP in between. */
export class LocalClient implements Client {
  readonly #registry: Registry
  readonly #self: Self
  readonly #as: Readonly<{ user: User; manager: string }>

  constructor(registry: Registry, self: Self) {
    this.#registry = registry
    this.#self = self
    this.#as = { user: self.user, manager: self.manager }
  }

  async get<T extends ApiObject>(kind: Kind<T>, key: Key): Promise<Stored<T> | undefined> {
    this.#require('get', kind, key)
    return orUndefined(this.#registry.get(kind, key).then((doc) => storedOf(kind, doc)))
  }

  async list<T extends ApiObject>(kind: Kind<T>, scope: Scope = {}) {
    this.#require('list', kind, scope)
    const { items, revision } = await this.#registry.list(kind, scope.namespace)
    const selected = parseSelectors(scope, kind)
    return {
      items: items.filter(selected).map((doc) => storedOf(kind, doc)),
      resourceVersion: String(revision),
    }
  }

  async *watch<T extends ApiObject>(
    kind: Kind<T>,
    resourceVersion: string,
    scope: Scope,
    signal: AbortSignal,
  ): AsyncIterable<readonly WatchEvent<T>[]> {
    this.#require('watch', kind, scope)
    const selected = parseSelectors(scope, kind)
    for await (const changes of this.#registry.watch(kind, scope.namespace, Number(resourceVersion), signal)) {
      const events = changes.map((change) => eventOf(change, selected)).filter((event) => event !== undefined)
      if (events.length) yield events.map(({ type, object }) => ({ type, object: storedOf(kind, object) }))
    }
  }

  create<T extends ApiObject>(kind: Kind<T>, object: T): Promise<Stored<T>>
  create<T extends ApiObject>(kind: Kind<T>, object: T, options: WriteOptions): Promise<T>
  async create<T extends ApiObject>(kind: Kind<T>, object: T, options: WriteOptions = {}): Promise<T> {
    this.#require('create', kind, { ...object.metadata })
    const { namespace } = object.metadata
    return draftOf(kind, await this.#registry.create(kind, namespace, object, { ...this.#as, ...options }))
  }

  async modify<T extends ApiObject>(
    kind: Kind<T>,
    key: Key,
    change: (current: Stored<T>) => T | undefined,
    options: ModifyOptions = {},
  ): Promise<Stored<T> | undefined> {
    this.#require('update', kind, key, options.subresource)
    const write = this.#registry.update(kind, key, (current) => change(storedOf(kind, current)), {
      ...this.#as,
      ...options,
    })
    return orUndefined(write.then((doc) => storedOf(kind, doc)))
  }

  async delete<T extends ApiObject>(kind: Kind<T>, key: Key, options: DeleteOptions = {}): Promise<void> {
    this.#require('delete', kind, key)
    await orUndefined(this.#registry.delete(kind, key, { user: this.#self.user, ...options }))
  }

  /** @throws Fault Forbidden */
  #require(
    verb: string,
    { group, plural, namespaced }: WhatKind,
    where: Scope & Partial<Key>,
    subresource?: string,
  ): void {
    const { name, namespace, fieldSelector, labelSelector } = where
    this.#self.access?.require(this.#self.user, {
      verb,
      group,
      resource: plural,
      ...(subresource && { subresource }),
      ...(namespaced && namespace && { namespace }),
      ...(name && { name }),
      ...(fieldSelector && { fieldSelector }),
      ...(labelSelector && { labelSelector }),
    })
  }
}

type WhatKind = Pick<Kind, 'group' | 'plural' | 'namespaced'>

async function orUndefined<R>(promise: Promise<R>): Promise<R | undefined> {
  try {
    return await promise
  } catch (error) {
    if (error instanceof Fault && faultKind(error) === 'NotFound') return undefined
    throw error
  }
}
