import type { Stored } from '#apis/meta/object.ts'
import type { Key } from './client.ts'

/** Called for one change with the new and the old object. At least one is defined. */
export type Listener<T> = (current: T | undefined, previous: T | undefined) => void

/** The values under which an object can be found, by the name of the index. */
export type Indexes<T, I extends string> = Readonly<Record<I, (object: T) => readonly string[]>>

/** The newest known objects of a kind. Objects are replaced, never changed. */
export class InformerCache<T extends Stored, I extends string> {
  readonly #objects = new Map<string, T>()
  readonly #indexes: readonly Index<T>[]
  readonly #notify: Listener<T>
  #all: readonly T[] | undefined

  constructor(indexes: Indexes<T, I>, notify: Listener<T>) {
    const entries = Object.entries<(object: T) => readonly string[]>(indexes)
    this.#indexes = entries.map(([name, valuesOf]) => ({ name, valuesOf, found: new Map() }))
    this.#notify = notify
  }

  get(key: Key): T | undefined {
    return this.#objects.get(textOf(key))
  }

  list(): readonly T[] {
    this.#all ??= [...this.#objects.values()]
    return this.#all
  }

  indexed(name: I, value: string): readonly T[] {
    const index = this.#indexes.find((one) => one.name === name)
    if (!index) throw new TypeError(`There is no index ${name}`)
    return [...(index.found.get(value)?.values() ?? [])]
  }

  put(object: T): void {
    const previous = this.get(object.metadata)
    if (previous && previous.metadata.uid !== object.metadata.uid) {
      // Deleted and recreated: the deletion was missed, but listeners get it.
      this.delete(previous)
      this.put(object)
      return
    }
    if (previous && previous.metadata.resourceVersion === object.metadata.resourceVersion) return
    this.#set(textOf(object.metadata), object, previous)
    this.#notify(object, previous)
  }

  /** Removes an object. `last` is its final state, which listeners get. */
  delete(last: T): void {
    const key = textOf(last.metadata)
    const previous = this.#objects.get(key)
    if (!previous) return
    this.#set(key, undefined, previous)
    this.#notify(undefined, last)
  }

  /** Makes the cache hold exactly `objects`: missing ones are deleted. */
  replace(objects: readonly T[]): void {
    const there = new Set(objects.map(({ metadata }) => textOf(metadata)))
    for (const [key, object] of this.#objects) if (!there.has(key)) this.delete(object)
    for (const object of objects) this.put(object)
  }

  #set(key: string, object: T | undefined, previous: T | undefined): void {
    this.#all = undefined
    if (object) this.#objects.set(key, object)
    else this.#objects.delete(key)
    for (const { valuesOf, found } of this.#indexes) {
      for (const value of previous ? valuesOf(previous) : []) {
        const objects = found.get(value)
        objects?.delete(key)
        if (objects?.size === 0) found.delete(value)
      }
      if (!object) continue
      for (const value of valuesOf(object)) {
        const objects = found.get(value)
        if (objects) objects.set(key, object)
        else found.set(value, new Map([[key, object]]))
      }
    }
  }
}

type Index<T> = Readonly<{
  name: string
  valuesOf: (object: T) => readonly string[]
  found: Map<string, Map<string, T>>
}>

function textOf({ namespace = '', name }: Key): string {
  return `${namespace}/${name}`
}
