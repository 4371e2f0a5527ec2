import type { PersistentVolumeClaim } from '#apis/core/persistentvolumeclaim.ts'
import type { Pod } from '#apis/core/pod.ts'
import { parseQuantity, type Quantity, quantityText } from '#apis/meta/quantity.ts'
import { isObject } from '#base/json.ts'

/** Amounts in thousandths, by the names of a ResourceQuota. */
export type Amounts = Readonly<Record<string, bigint>>

type Named = Readonly<Record<string, string | number>>
type Container = Readonly<Record<string, unknown>>

/** The names in a quota of what containers request (two for each resource), and of their limits. */
export const computeResources: ReadonlySet<string> = new Set([
  'cpu',
  'memory',
  'requests.cpu',
  'requests.memory',
  'limits.cpu',
  'limits.memory',
])

/** The name in a quota of the sizes of claims. */
export const storageRequests = 'requests.storage'

/** What a claim uses of its namespace's quotas: the size it asks for. */
export function claimAmounts({ spec }: PersistentVolumeClaim): Amounts {
  return { [storageRequests]: parseQuantity(spec.resources?.requests?.storage)?.milli ?? 0n }
}

/**
 * What a pod uses of its namespace's quotas: nothing once it has ended (Kubernetes). A pod that is being deleted counts until it
 * is gone, since its guest still uses its resources.
 */
export function podAmounts(pod: Pod): Amounts {
  const { phase } = pod.status ?? {}
  if (phase === 'Succeeded' || phase === 'Failed') return {}
  const sum: Record<string, bigint> = { pods: 1000n }
  for (const container of pod.spec.containers)
    for (const [name, amount] of Object.entries(containerAmounts(container))) sum[name] = (sum[name] ?? 0n) + amount
  return sum
}

/** Without a request, a container requests its limit (Kubernetes). */
function containerAmounts({ resources }: Container): Amounts {
  const amounts: Record<string, bigint> = {}
  for (const what of ['cpu', 'memory']) {
    const limit = amountIn(resources, 'limits', what)
    const request = amountIn(resources, 'requests', what) ?? limit
    if (request !== undefined) amounts[what] = amounts[`requests.${what}`] = request
    if (limit !== undefined) amounts[`limits.${what}`] = limit
  }
  return amounts
}

/** Containers have no schema: a value that is no quantity counts as zero, and so does a negative one. */
function amountIn(resources: unknown, kind: 'requests' | 'limits', what: string): bigint | undefined {
  const amounts = isObject(resources) ? resources[kind] : undefined
  const milli = isObject(amounts) ? parseQuantity(amounts[what])?.milli : undefined
  return milli !== undefined && milli < 0n ? 0n : milli
}

/**
 * Which limited amounts a pod does not declare: a quota of CPU or memory requires every container to declare them. In Kubernetes'
 * words; undefined when all are declared.
 */
export function unsaid(pod: Pod, limited: readonly string[]): string | undefined {
  const missing = limited
    .filter((name) => computeResources.has(name))
    .toSorted()
    .map((name) => ({ name, by: pod.spec.containers.filter((one) => containerAmounts(one)[name] === undefined) }))
    .filter(({ by }) => by.length)
  if (!missing.length) return undefined
  const nameOf = ({ name }: Container) => String(name ?? '')
  return `must specify ${missing.map(({ name, by }) => `${name} for: ${by.map(nameOf).toSorted().join(',')}`).join('; ')}`
}

/** An amount as text; memory and storage by powers of 1024. */
export function amountText(resource: string, milli: bigint): string {
  return quantityText({ milli, form: /(memory|storage)$/.test(resource) ? 'binary' : 'decimal' })
}

/** Quantities by name; other values are left out. */
export function quantitiesIn(hard: Named | undefined): ReadonlyMap<string, Quantity> {
  const quantities = new Map<string, Quantity>()
  for (const [name, value] of Object.entries(hard ?? {})) {
    const quantity = parseQuantity(value)
    if (quantity) quantities.set(name, quantity)
  }
  return quantities
}
