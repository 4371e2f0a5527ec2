import type { ResourceQuota } from '#apis/core/resourcequota.ts'
import type { FieldError, Kind } from '#apis/meta/object.ts'
import { parseQuantity, quantityText } from '#apis/meta/quantity.ts'
import { isObject } from '#base/json.ts'
import { computeResources, storageRequests } from './amounts.ts'
import { countNames } from './judge.ts'

/** Amounts are stored as Kubernetes writes them: `2` for the number 2, `1Gi` for `1024Mi`. */
export function quotaWithDefaults(quota: ResourceQuota): ResourceQuota {
  const { hard } = (isObject(quota.spec) ? quota.spec : {}) as NonNullable<ResourceQuota['spec']>
  if (!isObject(hard)) return quota
  const written = Object.entries(hard).map(([name, value]) => {
    const quantity = parseQuantity(value)
    return [name, quantity ? quantityText(quantity) : value] as const
  })
  return { ...quota, spec: { ...quota.spec, hard: Object.fromEntries(written) } }
}

/** All resources that a quota may limit, for the kinds that are served. */
export function quotaResources(kinds: readonly Kind[]): ReadonlySet<string> {
  return new Set([
    'pods',
    ...computeResources,
    storageRequests,
    ...kinds.filter((kind) => kind.namespaced).flatMap(countNames),
  ])
}

/** All errors of a quota: a limit that would not be enforced is refused (in Kubernetes' words where Kubernetes refuses it). */
export function quotaErrors({ spec = {} }: ResourceQuota, resources: ReadonlySet<string>): FieldError[] {
  const hard = Object.entries(spec.hard ?? {})
  return [
    ...hard.flatMap(([name, value]) => [...nameErrors(name, resources), ...amountErrors(name, value)]),
    ...(spec.scopes?.length ? [notSupported('spec.scopes')] : []),
    ...(spec.scopeSelector && Object.keys(spec.scopeSelector).length ? [notSupported('spec.scopeSelector')] : []),
  ]
}

function notSupported(field: string): FieldError {
  const message = 'Forbidden: scopes are not supported: a quota counts everything in its namespace'
  return { field, message, reason: 'FieldValueForbidden' }
}

function nameErrors(name: string, resources: ReadonlySet<string>): FieldError[] {
  if (resources.has(name)) return []
  const field = `spec.hard[${name}]`
  const value = JSON.stringify(name)
  if (name.includes('/') || kubernetesOwn.test(name))
    return [
      {
        field,
        message: `Unsupported value: ${value}: nothing is served that this could limit; supported values: ${[...resources].map((one) => JSON.stringify(one)).join(', ')}`,
        reason: 'FieldValueNotSupported',
      },
    ]
  return ['must be a standard resource type or fully qualified', 'must be a standard resource for quota'].map(
    (why) => ({ field, message: `Invalid value: ${value}: ${why}`, reason: 'FieldValueInvalid' }),
  )
}

/** Names that Kubernetes accepts for resources that do not exist here: storage, services, huge pages, devices. */
const kubernetesOwn =
  /^(?:services(?:\..+)?|replicationcontrollers|(?:(?:requests|limits)\.)?(?:storage|ephemeral-storage)|(?:requests\.)?hugepages-.+)$/

function amountErrors(name: string, value: unknown): FieldError[] {
  const field = `spec.hard[${name}]`
  const bad = (why: string): FieldError[] => [
    { field, message: `Invalid value: ${JSON.stringify(value)}: ${why}`, reason: 'FieldValueInvalid' },
  ]
  const quantity = parseQuantity(value)
  if (!quantity) return bad('must be a quantity, such as 4, 500m or 2Gi')
  if (quantity.milli < 0n) return bad('must be greater than or equal to 0')
  return !computeResources.has(name) && quantity.milli % 1000n !== 0n ? bad('must be an integer') : []
}
