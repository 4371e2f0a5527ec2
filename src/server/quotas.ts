import { ResourceQuota } from '#apis/core/resourcequota.ts'
import { sameJson } from '#base/json.ts'
import { growth, quotaRefusal } from '#core/quota/judge.ts'
import type { NamespaceLimits } from '#core/quota/limits.ts'
import { namespaceRefusal } from '#core/quota/namespace.ts'
import { prefixOf, storeKey } from '#machinery/rest/doc.ts'
import type { Served } from '#machinery/rest/strategy.ts'
import { type Taking, Usage } from '#machinery/rest/usage.ts'
import type { Store } from '#machinery/store/store.ts'

/** Called when the usage of a namespace with quotas changes, or one of its quotas. `hasRoom`: it may have more of a resource. */
export type QuotaListener = (namespace: string, hasRoom: boolean) => void

/**
 * Enforces quotas and the limits of all namespaces. Quotas and usage are both updated with the store's decisions, so that a
 * write is checked against everything decided before it.
 */
export class Quotas {
  readonly #usage: Usage
  readonly #limits: NamespaceLimits
  readonly #byNamespace = new Map<string, Map<string, ResourceQuota>>()
  readonly #listeners: QuotaListener[] = []

  constructor(store: Store, served: readonly Served[], limits: NamespaceLimits) {
    this.#usage = new Usage(store, served)
    this.#limits = limits
    const prefix = prefixOf(ResourceQuota, undefined)
    store.onDecided((key, value) => {
      if (key.startsWith(prefix)) this.#note(key.slice(prefix.length), value as unknown as ResourceQuota | undefined)
    })
    this.#usage.onChange((namespace, isLess) => {
      if (this.#byNamespace.has(namespace)) this.#tell(namespace, isLess)
    })
  }

  /** Listeners must neither wait nor throw: they are called while a write is decided. */
  onChange(listener: QuotaListener): void {
    this.#listeners.push(listener)
  }

  /** What a namespace has used of a resource, in thousandths. */
  used(namespace: string, resource: string): bigint {
    return this.#usage.amountOf(namespace, resource)
  }

  /** Why a write exceeds what its namespace may have; undefined when it does not. */
  refusal({ kind, next, current, bytes, user, subresource }: Taking): string | undefined {
    const { namespace } = next.metadata
    if (!kind.namespaced || namespace === undefined) return undefined
    const before = current && this.#usage.shareOf(storeKey(kind, next.metadata))
    const full = namespaceRefusal(
      { metadata: next.metadata, groups: user.groups, bytes, before: before?.bytes },
      this.#usage.of(namespace),
      this.#limits,
    )
    const quotas = this.#byNamespace.get(namespace)
    if (full !== undefined || !quotas || subresource) return full
    const more = growth(this.#usage.weigh(kind, next), before?.amounts ?? {})
    const byName = [...quotas.values()].toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
    return quotaRefusal(next, more, byName, (one) => this.used(namespace, one))
  }

  #note(path: string, quota: ResourceQuota | undefined): void {
    const [namespace = '', name = ''] = path.split('/')
    const quotas = this.#byNamespace.get(namespace) ?? new Map<string, ResourceQuota>()
    const before = quotas.get(name)
    if (quota) quotas.set(name, quota)
    else quotas.delete(name)
    if (quotas.size) this.#byNamespace.set(namespace, quotas)
    else this.#byNamespace.delete(namespace)
    if (!sameJson(before?.spec, quota?.spec)) this.#tell(namespace, true)
  }

  #tell(namespace: string, hasRoom: boolean): void {
    for (const listener of this.#listeners) listener(namespace, hasRoom)
  }
}
