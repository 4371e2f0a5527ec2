import { fateOf } from '#apis/meta/fate.ts'
import type { FieldError, Kind } from '#apis/meta/object.ts'
import { isList, isObject, type Json, type JsonObject } from '#base/json.ts'

/** The errors about the fields of a spec that the schema of its kind marks as refused. */
export function refusedErrors({ schema }: Pick<Kind, 'schema'>, spec: unknown): FieldError[] {
  const { properties } = schema
  const found: FieldError[] = []
  if (isObject(properties) && isObject(properties.spec)) collect(properties.spec, spec as Json, 'spec', found)
  return found
}

function collect(schema: JsonObject, value: Json | undefined, path: string, found: FieldError[]): void {
  if (value === undefined || value === null) return
  const fate = fateOf(schema)
  if (fate?.is === 'refused')
    found.push({ field: path, message: `Forbidden: ${path} is refused: ${fate.why}`, reason: 'FieldValueForbidden' })
  if (fate) return
  const { properties, items } = schema
  if (isList(value)) {
    if (isObject(items)) for (const [i, item] of value.entries()) collect(items, item, `${path}[${i}]`, found)
  } else if (isObject(value) && isObject(properties))
    for (const [name, below] of Object.entries(properties))
      if (isObject(below)) collect(below, value[name], `${path}.${name}`, found)
}
