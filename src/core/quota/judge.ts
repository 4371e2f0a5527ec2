import type { Pod } from '#apis/core/pod.ts'
import type { ResourceQuota } from '#apis/core/resourcequota.ts'
import type { ApiObject, Kind } from '#apis/meta/object.ts'
import { quantityText } from '#apis/meta/quantity.ts'
import { type Amounts, amountText, quantitiesIn, unsaid } from './amounts.ts'

type Named = Pick<Kind, 'group' | 'plural'>

/** The names under which quotas count the objects of a kind. */
export function countNames({ group, plural }: Named): readonly string[] {
  if (group) return [`count/${plural}.${group}`]
  // `pods` counts only pods that have not ended, so it is an amount of each pod.
  return objectNames.has(plural) ? [`count/${plural}`, plural] : [`count/${plural}`]
}

/** The kinds that Kubernetes also counts by their plural name alone. */
const objectNames: ReadonlySet<string> = new Set(['configmaps', 'secrets', 'resourcequotas', 'persistentvolumeclaims'])

/**
 * Why an object that uses `more` may not be written, given what its namespace has used (all in thousandths), in Kubernetes'
 * words; undefined when it may.
 */
export function quotaRefusal(
  object: ApiObject,
  more: Amounts,
  quotas: readonly ResourceQuota[],
  used: (resource: string) => bigint,
): string | undefined {
  for (const quota of quotas) {
    const hard = quantitiesIn(quota.spec?.hard)
    const { name } = quota.metadata
    // Only a new pod uses one of `pods`.
    const open = more.pods ? unsaid(object as unknown as Pod, [...hard.keys()]) : undefined
    if (open !== undefined) return `failed quota: ${name}: ${open}`
  }
  for (const quota of quotas) {
    const hard = quantitiesIn(quota.spec?.hard)
    const exceeded = [...hard.keys()]
      .filter((one) => (more[one] ?? 0n) > 0n && used(one) + more[one]! > hard.get(one)!.milli)
      .toSorted()
    if (!exceeded.length) continue
    const listed = (textOf: (resource: string) => string) => exceeded.map((one) => `${one}=${textOf(one)}`).join(',')
    const requested = listed((one) => amountText(one, more[one]!))
    const taken = listed((one) => amountText(one, used(one)))
    const limited = listed((one) => quantityText(hard.get(one)!))
    return `exceeded quota: ${quota.metadata.name}, requested: ${requested}, used: ${taken}, limited: ${limited}`
  }
  return undefined
}

/** The status of a quota: its limits and what is used of them. */
export function quotaStatus(
  quota: ResourceQuota,
  used: (resource: string) => bigint,
): NonNullable<ResourceQuota['status']> {
  const hard = quantitiesIn(quota.spec?.hard)
  return {
    hard: Object.fromEntries([...hard].map(([name, quantity]) => [name, quantityText(quantity)])),
    used: Object.fromEntries([...hard.keys()].map((name) => [name, amountText(name, used(name))])),
  }
}

/** The amounts by which `now` exceeds `before`. */
export function growth(now: Amounts, before: Amounts): Amounts {
  const more = Object.entries(now).map(([name, amount]) => [name, amount - (before[name] ?? 0n)] as const)
  return Object.fromEntries(more.filter(([, amount]) => amount > 0n))
}

/** What every object of a kind uses as one of its kind. Always the same value for a kind. */
export function countOf(kind: Named): Amounts {
  return Object.freeze(Object.fromEntries(countNames(kind).map((name) => [name, 1000n])))
}
