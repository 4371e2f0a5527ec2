import type { Json, JsonObject } from '#base/json.ts'

// The rules of server-side apply as structured-merge-diff documents them (merge/update.go), over the plainest form there is: the
// values of an object by their paths. A step of a path is a field that the schema names, `k:NAME` (an item of a list), `m:KEY`
// (a key of a map) or `s:TEXT` (an item of a set). An item of a list has a value of its own, beside those in it.

/** The values of an object by their paths. */
export type Values = ReadonlyMap<string, string>
type Paths = ReadonlySet<string>

/** What an item of a list is by itself. */
export const item = 'item'

const isNamed = (path: string) => !/^[kms]:/.test(path.slice(path.lastIndexOf('/') + 1))

/** A path and those it is below, without the root. */
function upwards(path: string): string[] {
  const steps = path.split('/')
  return steps.map((_, i) => steps.slice(0, i + 1).join('/'))
}

/** With every named field that something is in. */
function withNamed(paths: Iterable<string>): Paths {
  return new Set([...paths].flatMap((path) => [path, ...upwards(path).slice(0, -1).filter(isNamed)]))
}

/** Without what is at or below any of the paths. */
function without(values: Values, gone: Paths): Values {
  return new Map([...values].filter(([path]) => !upwards(path).some((one) => gone.has(one))))
}

const minus = (a: Paths, b: Paths) => a.difference(new Set(b))

/** The sets of fields that managers own, and the object. */
export class ApplyModel {
  values: Values
  readonly #owned = new Map<string, Paths>()

  constructor(values: Values, manager: string) {
    this.values = values
    this.#owned.set(manager, new Set(values.keys()))
  }

  ownedBy(manager: string): readonly string[] {
    return [...(this.#owned.get(manager) ?? [])].toSorted()
  }

  /** Applies what a manager wants. Conflicts are returned, and then nothing has changed unless by `force`. */
  apply(manager: string, wanted: Values, force: boolean): readonly string[] {
    const last = this.#owned.get(manager) ?? new Set()
    const others = [...this.#owned].filter(([one]) => one !== manager).map(([, paths]) => paths)
    const merged: Values = new Map([...this.values, ...wanted])
    const next = last.size ? prune(merged, last, [new Set(wanted.keys()), ...others]) : merged
    const changed = changes(this.values, next)
    const conflicts = new Set(others.flatMap((paths) => [...paths.intersection(changed.set)]))
    if (conflicts.size && !force) return [...conflicts].toSorted()
    this.#disown(manager, changed)
    this.#owned.set(manager, new Set(wanted.keys()))
    this.values = next
    return []
  }

  /** A manager puts another object there. */
  update(manager: string, next: Values): void {
    const changed = changes(this.values, next)
    this.#disown(manager, changed)
    const mine = minus(this.#owned.get(manager) ?? new Set(), changed.removed)
    this.#owned.set(manager, mine.union(changed.set))
    this.values = next
  }

  #disown(manager: string, { set, removed }: Changes): void {
    for (const [one, paths] of this.#owned) if (one !== manager) this.#owned.set(one, minus(minus(paths, set), removed))
  }
}

type Changes = Readonly<{ set: Set<string>; removed: Set<string> }>

function changes(before: Values, after: Values): Changes {
  return {
    set: new Set([...after].filter(([path, value]) => before.get(path) !== value).map(([path]) => path)),
    removed: new Set([...before.keys()].filter((path) => !after.has(path))),
  }
}

/** Removes what was set last; adds back what is owned; adds back what was not owned by the manager. */
function prune(merged: Values, last: Paths, owned: readonly Paths[]): Values {
  const [lastNamed, mergedNamed] = [withNamed(last), withNamed(merged.keys())]
  const removed = without(merged, lastNamed)
  const managed = withNamed(owned.flatMap((paths) => [...paths]))
  const kept = without(merged, minus(mergedNamed, withNamed(removed.keys()).union(new Set(managed))))
  return without(merged, minus(mergedNamed, withNamed(kept.keys())).intersection(new Set(lastNamed)))
}

/** The object that has these values. */
export function objectOf(values: Values): JsonObject {
  const root: Tree = new Map()
  for (const [path, value] of values) {
    let at = root
    for (const step of path.split('/')) {
      const known = at.get(step)
      const next: Tree = known instanceof Map ? known : new Map()
      at.set(step, next)
      at = next
    }
    at.set('', value)
  }
  return jsonOf(root) as JsonObject
}

type Tree = Map<string, Tree | string>

function jsonOf(tree: Tree): Json {
  const value = tree.get('')
  const steps = [...tree].filter((entry): entry is [string, Tree] => entry[0] !== '')
  const [first] = steps[0] ?? []
  if (first === undefined) return typeof value === 'string' && value !== item ? value : {}
  if (first.startsWith('s:')) return steps.map(([step]) => step.slice(2))
  if (first.startsWith('k:')) return steps.map(([, below]) => jsonOf(below))
  return Object.fromEntries(steps.map(([step, below]) => [step.replace(/^m:/, ''), jsonOf(below)]))
}

/** The values of an object of which `lists`, `sets` and `maps` are fields by those names. */
export function valuesOf(object: Json | undefined, names: Names): Values {
  const found = new Map<string, string>()
  const visit = (value: Json | undefined, path: string, name: string): void => {
    const at = (step: string) => (path ? `${path}/${step}` : step)
    if (typeof value === 'string') found.set(path, value)
    else if (Array.isArray(value) && names.sets.includes(name)) for (const one of value) found.set(at(`s:${one}`), '')
    else if (Array.isArray(value))
      for (const one of value as readonly { name: string }[]) {
        found.set(at(`k:${one.name}`), item)
        visit(one, at(`k:${one.name}`), 'item')
      }
    else
      for (const [key, below] of Object.entries((value ?? {}) as JsonObject))
        visit(below, at(names.maps.includes(name) ? `m:${key}` : key), key)
  }
  visit(object, '', '')
  return found
}

export type Names = Readonly<{ sets: readonly string[]; maps: readonly string[] }>
