import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { fateOf } from '#apis/meta/fate.ts'
import type { ApiObject, Condition, Kind } from '#apis/meta/object.ts'
import { isList, isObject, type Json, type JsonObject, sameJson } from '#base/json.ts'
import { withCondition, withoutCondition } from './conditions.ts'

/** A field that is set and not carried out: its path in the object, what happens instead, and its value. */
type Uncarried = Readonly<{ path: string; why: string; value: Json }>

/** Most fields that a condition names; the others are counted. */
const maxNamed = 20

/** Type of the condition of VMs and instances some of whose fields are not carried out. Not in KubeVirt. */
export const notCarriedOutCondition = 'NotCarriedOut'

/**
 * Warnings about the fields of an object that are not carried out, for the user who writes it: those that `old` did not have with
 * the same value, so that a change of something else is not answered with all of them.
 */
export function uncarriedWarnings<T extends ApiObject>(kind: Kind<T>, object: T, old: T | undefined): string[] {
  const before = new Map(uncarriedIn(kind, old).map(({ path, value }) => [path, value]))
  return uncarriedIn(kind, object)
    .filter(({ path, value }) => !sameJson(before.get(path), value))
    .map(({ path, why }) => `${path} is kept and not carried out${why && `: ${why}`}`)
}

/** The conditions of a VM with the one that names what of its template is not carried out. `now` is RFC 3339. */
export function withUncarriedOfVm(list: readonly Condition[], vm: VirtualMachine, now: string): readonly Condition[] {
  return withUncarried(list, uncarriedIn(VirtualMachine, vm), now)
}

/** The conditions of an instance with the one that names what of its spec is not carried out. `now` is RFC 3339. */
export function withUncarriedOfInstance(
  list: readonly Condition[] | undefined,
  vmi: VirtualMachineInstance,
  now: string,
): readonly Condition[] {
  return withUncarried(list ?? [], uncarriedIn(VirtualMachineInstance, vmi), now)
}

function withUncarried(list: readonly Condition[], fields: readonly Uncarried[], now: string): readonly Condition[] {
  if (!fields.length) return withoutCondition(list, notCarriedOutCondition)
  const named = fields.slice(0, maxNamed).map(({ path }) => path)
  const more = fields.length - named.length
  const message = `Kept and not carried out: ${named.join(', ')}${more ? ` and ${more} more` : ''}`
  return withCondition(
    list,
    { type: notCarriedOutCondition, status: 'True', reason: 'FieldsNotCarriedOut', message },
    now,
  )
}

function uncarriedIn<T extends ApiObject>({ schema }: Kind<T>, object: T | undefined): Uncarried[] {
  const found: Uncarried[] = []
  const { properties } = schema as JsonObject
  // Status is ours.
  if (object && isObject(properties) && isObject(properties.spec))
    collect(properties.spec, (object as unknown as JsonObject).spec, 'spec', found)
  return found
}

/** Fields in their order; what is not carried out as a whole is named once. */
function collect(schema: JsonObject, value: Json | undefined, path: string, found: Uncarried[]): void {
  if (value === undefined || value === null) return
  const fate = fateOf(schema)
  if (fate && fate.is !== 'notCarriedOut') return
  if (fate) {
    const isSoAnyway = isEmptyList(value) || fate.unless.some((one) => sameJson(one, value))
    if (!isSoAnyway) found.push({ path, why: fate.why, value })
    return
  }
  if (!hasFates(schema)) return
  const { properties, items } = schema
  if (isList(value)) {
    if (isObject(items)) for (const [i, item] of value.entries()) collect(items, item, `${path}[${i}]`, found)
  } else if (isObject(value) && isObject(properties))
    for (const [name, below] of Object.entries(properties))
      if (isObject(below)) collect(below, value[name], `${path}.${name}`, found)
}

function isEmptyList(value: Json): boolean {
  return isList(value) && value.length === 0
}

/** Whether a schema has parts that are not carried out, so that a walk need not enter the others. */
function hasFates(schema: JsonObject): boolean {
  const known = withFates.get(schema)
  if (known !== undefined) return known
  const { properties, items } = schema
  const below = [...(isObject(properties) ? Object.values(properties) : []), items].filter(isObject)
  const has = below.some((one) => fateOf(one) !== undefined || hasFates(one))
  withFates.set(schema, has)
  return has
}

const withFates = new WeakMap<JsonObject, boolean>()
