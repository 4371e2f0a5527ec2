import { Fault } from '#base/fault.ts'
import { copyJson, isList, isObject, type Json, type JsonObject } from '#base/json.ts'

/** Most operations in a patch (Kubernetes' limit). */
const maxOperations = 10_000
/** Most bytes that the `copy` operations of a patch may make: a few of them double an object many times. */
const maxCopiedBytes = 3 * 1024 * 1024
/** Most list items that a patch may shift: an insertion or removal moves all items behind it. */
const maxShifted = 100_000_000
/** Most fields of the object that `test` operations may look through. */
const maxCompared = 1_000_000
/** Deepest value that is copied; none that is sent is deeper. */
const maxDepth = 200

/**
 * Applies a JSON patch (RFC 6902) and returns the new value; the old one and the patch are untouched. What all operations
 * together may cost is bounded.
 * @throws Fault BadRequest for no list, TooLarge for too much work, Invalid for an operation that cannot be carried out.
 */
export function jsonPatch(object: JsonObject, patch: Json): Json {
  if (!isList(patch)) throw new Fault('BadRequest', 'A JSON patch must be a list of operations')
  requireFew('operations', patch.length, maxOperations)
  const work = new Work(copyJson(object))
  for (const operation of patch) work.run(operation)
  return work.document
}

type Mutable = { [key: string]: Json | undefined }
/** A place in a document: a list or an object, and a step below it. */
type Place = Readonly<{ parent: Json[] | Mutable; step: string }>

/** A document that is being patched, and what that has cost so far. */
class Work {
  /** Belongs to this patch alone and is changed in place. */
  document: Json
  #copiedBytes = 0
  #shifted = 0
  #compared = 0

  constructor(document: Json) {
    this.document = document
  }

  run(operation: Json): void {
    if (!isObject(operation)) throw refused('an operation is not an object')
    const { op, value } = operation
    const path = pointerOf(operation, 'path')
    switch (op) {
      case 'add':
        this.#add(path, copyJson(requireValue(value)))
        break
      case 'replace':
        this.#replace(path, copyJson(requireValue(value)))
        break
      case 'remove':
        this.#remove(path)
        break
      case 'test':
        if (!this.#isSame(this.#get(path), requireValue(value)))
          throw refused(`Test operation failed: ${String(operation.path)} has another value`)
        break
      case 'copy':
        this.#add(path, this.#copyOf(this.#get(pointerOf(operation, 'from'))))
        break
      case 'move':
        this.#move(pointerOf(operation, 'from'), path)
        break
      default:
        throw refused(
          `operation ${JSON.stringify(op)?.slice(0, 40)} is none of add, remove, replace, move, copy and test`,
        )
    }
  }

  #get(path: readonly string[]): Json {
    let at = this.document
    for (const step of path) at = childOf(at, step)
    return at
  }

  #placeOf(path: readonly string[]): Place {
    const parent = this.#get(path.slice(0, -1))
    if (typeof parent !== 'object' || parent === null) throw missing()
    // What is patched is a copy of our own.
    return { parent: parent as Place['parent'], step: path.at(-1) ?? '' }
  }

  #add(path: readonly string[], value: Json): void {
    if (!path.length) this.document = value
    else {
      const { parent, step } = this.#placeOf(path)
      if (Array.isArray(parent)) {
        const at = step === '-' ? parent.length : indexOf(step, parent.length)
        this.#shift(parent.length - at)
        parent.splice(at, 0, value)
      } else put(parent, step, value)
    }
  }

  #replace(path: readonly string[], value: Json): void {
    if (!path.length) this.document = value
    else {
      const { parent, step } = this.#placeOf(path)
      childOf(parent, step)
      if (Array.isArray(parent)) parent[Number(step)] = value
      else put(parent, step, value)
    }
  }

  #remove(path: readonly string[]): Json {
    if (!path.length) throw refused('the whole object cannot be removed')
    const { parent, step } = this.#placeOf(path)
    const value = childOf(parent, step)
    if (Array.isArray(parent)) {
      this.#shift(parent.length - Number(step))
      parent.splice(Number(step), 1)
    } else delete parent[step]
    return value
  }

  #move(from: readonly string[], path: readonly string[]): void {
    const isInside = from.length <= path.length && from.every((step, i) => step === path[i])
    if (!isInside) this.#add(path, this.#remove(from))
    else if (from.length < path.length) throw refused('a value cannot be moved into itself')
    else this.#get(from)
  }

  #shift(items: number): void {
    this.#shifted += items
    requireFew('list items shifted by operations', this.#shifted, maxShifted)
  }

  /** Counted while it is made: a copy that is too large is never whole. */
  #copyOf(value: Json, depth = 0): Json {
    if (depth > maxDepth) throw new Fault('BadRequest', `a JSON patch may copy at most ${maxDepth} levels`)
    this.#copiedBytes += typeof value === 'string' ? value.length + 2 : 4
    requireFew('bytes copied by operations', this.#copiedBytes, maxCopiedBytes)
    if (typeof value !== 'object' || value === null) return value
    if (Array.isArray(value)) return value.map((item: Json) => this.#copyOf(item, depth + 1))
    const copy: Mutable = {}
    for (const [key, item] of Object.entries(value)) {
      this.#copiedBytes += key.length
      if (item !== undefined) put(copy, key, this.#copyOf(item, depth + 1))
    }
    return copy
  }

  /** Costs the size of `wanted`, which was sent, and one pass over the names of the fields beside it. */
  #isSame(value: Json | undefined, wanted: Json | undefined): boolean {
    if (value === wanted) return true
    if (isList(value) && isList(wanted))
      return value.length === wanted.length && wanted.every((item, i) => this.#isSame(value[i], item))
    if (!isObject(value) || !isObject(wanted)) return false
    const names = Object.keys(wanted)
    const { length } = Object.keys(value)
    this.#compared += length
    requireFew('fields compared by operations', this.#compared, maxCompared)
    return (
      names.length === length &&
      names.every((name) => Object.hasOwn(value, name) && this.#isSame(value[name], wanted[name]))
    )
  }
}

/** The steps of a JSON pointer (RFC 6901). */
function pointerOf(operation: JsonObject, field: 'path' | 'from'): string[] {
  const text = operation[field]
  if (typeof text !== 'string') throw refused(`an operation has no ${field} that is a string`)
  if (text && !text.startsWith('/')) throw refused(`${field} ${JSON.stringify(text.slice(0, 200))} must start with "/"`)
  const steps = text.split('/').slice(1)
  return steps.map((step) => (step.includes('~') ? step.replaceAll('~1', '/').replaceAll('~0', '~') : step))
}

/** What is at a step, by own fields only. */
function childOf(at: Json, step: string): Json {
  if (isList(at)) {
    const index = indexOf(step, at.length)
    if (index < at.length) return at[index] ?? null
  } else if (isObject(at) && Object.hasOwn(at, step)) return at[step] ?? null
  throw missing()
}

/** An index of a list, whose length may be one too. */
function indexOf(step: string, length: number): number {
  if (!/^(0|[1-9]\d{0,9})$/.test(step))
    throw refused(`${JSON.stringify(step.slice(0, 200))} is no index of a list; write a number without leading zeros`)
  if (Number(step) > length) throw refused(`index ${step} is past the end of a list of ${length} items`)
  return Number(step)
}

function put(object: Mutable, key: string, value: Json): void {
  // An assignment would make it the object's prototype.
  if (key === '__proto__')
    Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true })
  else object[key] = value
}

function requireValue(value: Json | undefined): Json {
  if (value === undefined) throw refused('an operation of add, replace or test has no value')
  return value
}

function requireFew(what: string, count: number, max: number): void {
  if (count > max) throw new Fault('TooLarge', `The allowed maximum ${what} in a JSON patch is ${max}, got ${count}`)
}

function missing(): Fault {
  return refused('Cannot perform the operation at a path that does not exist')
}

function refused(why: string): Fault {
  return new Fault('Invalid', `the server rejected our request due to an error in our request: ${why}`)
}
