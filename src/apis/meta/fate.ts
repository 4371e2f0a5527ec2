import { type Static, type TSchema, Type } from 'typebox'
import { isList, isObject, type Json, type JsonObject } from '#base/json.ts'

/** Where a schema says the outcome of a field; a field without one is carried out. */
const key = 'x-patchbay-fate'

/**
 * The outcome of a field that is in the schema:
 * - `notCarriedOut`: it is kept, and nothing is done. A user who sets it is warned, unless it says what is so anyway (`unless`).
 * - `refused`: admission takes no object with it.
 * - `noEffect`: by its nature nothing would show, so there is no warning.
 */
export type Fate = Readonly<{ is: 'notCarriedOut' | 'refused' | 'noEffect'; why: string; unless: readonly Json[] }>

/** A field that is kept and not carried out. `why` says what happens instead; `unless` are the values that say just that. */
export function notCarriedOut<T extends TSchema>(schema: T, why = '', unless: readonly Json[] = []) {
  return withFate(schema, { is: 'notCarriedOut', why, unless })
}

/** A field that has no effect here by its nature; `why` says which. */
export function noEffect<T extends TSchema>(schema: T, why: string) {
  return withFate(schema, { is: 'noEffect', why, unless: [] })
}

/** A field that admission refuses, as `why` says. */
export function refused<T extends TSchema>(schema: T, why: string) {
  return withFate(schema, { is: 'refused', why, unless: [] })
}

function withFate<T extends TSchema>(schema: T, fate: Fate) {
  return Type.Unsafe<Static<T>>({ ...schema, [key]: fate })
}

/** The outcome of a field by its schema; undefined: it is carried out, as far as its parts say nothing else. */
export function fateOf(schema: JsonObject): Fate | undefined {
  const fate = schema[key]
  if (!isObject(fate)) return undefined
  const { is, why, unless } = fate
  return {
    is: is === 'noEffect' || is === 'refused' ? is : 'notCarriedOut',
    why: typeof why === 'string' ? why : '',
    unless: isList(unless) ? unless : [],
  }
}
