import type { ObjectMeta } from '#apis/meta/object.ts'
import { Fault } from '#base/fault.ts'
import type { JsonObject } from '#base/json.ts'
import type { Propagation } from '../client/client.ts'

/** The finalizers by which Kubernetes records the propagation policy of a deletion; the garbage collector acts on them. */
const finalizerOf = { Foreground: 'foregroundDeletion', Orphan: 'orphan', Background: undefined } as const

/** The finalizers of an object deleted with some policy; a later policy replaces an earlier one. */
export function finalizersFor(metadata: ObjectMeta, propagation: Propagation | undefined): readonly string[] {
  const finalizers = metadata.finalizers ?? []
  if (!propagation) return finalizers
  const wanted = finalizerOf[propagation]
  const others = finalizers.filter((one) => one === wanted || !Object.values<unknown>(finalizerOf).includes(one))
  return wanted === undefined || others.includes(wanted) ? others : [...others, wanted]
}

/** The propagation policy of a deletion, in its body or its query; undefined without one. @throws Fault BadRequest */
export function propagationOf(
  query: Readonly<Record<string, string | undefined>>,
  body: JsonObject,
): Propagation | undefined {
  const value = query.propagationPolicy || body.propagationPolicy || undefined
  if (value === undefined) return body.orphanDependents === true ? 'Orphan' : undefined
  if (value === 'Background' || value === 'Foreground' || value === 'Orphan') return value
  throw new Fault(
    'BadRequest',
    `propagationPolicy: Unsupported value: ${JSON.stringify(value)}: supported values: "Background", "Foreground", "Orphan"`,
  )
}
