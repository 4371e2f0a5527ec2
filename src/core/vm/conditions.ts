import type { Condition } from '#apis/meta/object.ts'

type Conditions = readonly Condition[]

/** The condition of a type, if it is there. */
export function findCondition(conditions: Conditions | undefined, type: string): Condition | undefined {
  return conditions?.find((condition) => condition.type === type)
}

/** True when the condition of a type is there and its status is True. */
export function isTrue(conditions: Conditions | undefined, type: string): boolean {
  return findCondition(conditions, type)?.status === 'True'
}

/**
 * The list with one condition set. The order stays, and lastTransitionTime changes only with the status, so that setting the same
 * condition again changes nothing. `now` is RFC 3339.
 */
export function withCondition(
  conditions: Conditions | undefined,
  set: Omit<Condition, 'lastTransitionTime'>,
  now: string,
): Conditions {
  const list = conditions ?? []
  const old = findCondition(list, set.type)
  const next: Condition = {
    ...set,
    lastTransitionTime: old && old.status === set.status ? (old.lastTransitionTime ?? now) : now,
  }
  return old ? list.map((one) => (one === old ? next : one)) : [...list, next]
}

/** The list without the conditions of a type. */
export function withoutCondition(conditions: Conditions | undefined, type: string): Conditions {
  return (conditions ?? []).filter((condition) => condition.type !== type)
}
