import type { Schema } from '#apis/meta/object.ts'
import { isObject, type JsonObject } from '#base/json.ts'
import { metadataFields } from './metadata.ts'

/** Most letters that may differ for a name to pass as a slip of the pen. */
const maxSlips = 2
/** How far below a field of the same name is looked for. */
const maxDepth = 4

/**
 * The field that was probably meant by an unknown one: one beside it with nearly the same name, else one of the same name
 * elsewhere (`template` at the root is `spec.template`). Paths are those of decode.ts.
 */
export function suggestion(schema: Schema, path: string): string | undefined {
  const at = path.lastIndexOf('.')
  const [parent, name] = [path.slice(0, Math.max(at, 0)), path.slice(at + 1)]
  if (parent === 'metadata') return joined(parent, nearest(name, metadataFields))
  const here = schemaAt(schema, parent)
  if (!here) return undefined
  const beside = nearest(name, Object.keys(fieldsIn(here)))
  if (beside) return joined(parent, beside)
  const below = find(here, name)
  if (below) return joined(parent, below)
  return parent ? find(schema, name) : undefined
}

function joined(parent: string, name: string | undefined): string | undefined {
  return name && (parent ? `${parent}.${name}` : name)
}

function fieldsIn(schema: JsonObject): JsonObject {
  return isObject(schema.properties) ? schema.properties : {}
}

function schemaAt(root: JsonObject, path: string): JsonObject | undefined {
  let at: JsonObject | undefined = root
  for (const step of path ? path.split('.') : []) {
    const [name = '', ...indices] = step.split('[')
    const fields: JsonObject = fieldsIn(at)
    const next: unknown = Object.hasOwn(fields, name) ? fields[name] : at.additionalProperties
    at = isObject(next) ? next : undefined
    for (const _ of indices) at = isObject(at?.items) ? at.items : undefined
    if (!at) return undefined
  }
  return at
}

/** The shortest path to a field of that name that goes through no list. */
function find(root: JsonObject, name: string): string | undefined {
  let level: [path: string, schema: JsonObject][] = [['', root]]
  for (let depth = 0; depth <= maxDepth && level.length; depth++) {
    for (const [path, schema] of level) if (Object.hasOwn(fieldsIn(schema), name)) return joined(path, name)
    level = level.flatMap(([path, schema]) =>
      Object.entries(fieldsIn(schema)).flatMap(([field, below]): [string, JsonObject][] =>
        // What a status says is no place to move a field to.
        isObject(below) && field !== 'status' ? [[path ? `${path}.${field}` : field, below]] : [],
      ),
    )
  }
  return undefined
}

/** The name with the fewest slips; undefined when none is near. A short name must share most of its letters. */
function nearest(name: string, names: Iterable<string>): string | undefined {
  let best: string | undefined
  let fewest = Math.min(maxSlips, Math.floor(name.length / 2)) + 1
  for (const one of names) {
    const count = slips(name.toLowerCase(), one.toLowerCase())
    if (count >= fewest) continue
    fewest = count
    best = one
  }
  return best
}

/** Letters to add, drop or change to turn one word into the other (Levenshtein); two swapped letters count as two. */
function slips(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > maxSlips) return maxSlips + 1
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  let last = b.length
  for (const [i, letter] of a.split('').entries()) {
    last = i + 1
    let diagonal = i
    const next = [last]
    for (const [j, above] of row.entries()) {
      if (j === 0) continue
      last = Math.min(above + 1, last + 1, diagonal + (letter === b[j - 1] ? 0 : 1))
      diagonal = above
      next.push(last)
    }
    row = next
  }
  return last
}
