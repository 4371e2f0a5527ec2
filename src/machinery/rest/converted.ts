import { apiVersionOf, type Kind, type ObjectMeta, type Stored } from '#apis/meta/object.ts'
import type { JsonObject } from '#base/json.ts'
import type { Key } from '../client/client.ts'
import type { Change } from '../store/store.ts'
import type { Doc } from './doc.ts'
import { requireHeader, requireNames } from './metadata.ts'
import { type DeleteOptions, Registry, type WriteOptions } from './registry.ts'
import { invalid } from './status.ts'
import type { Conversion, Served } from './strategy.ts'
import { withoutUnknown } from './unknown.ts'
import { schemaErrors } from './validate.ts'

const convertedOf = new WeakMap<Registry, Map<Kind, Registry>>()

/** The registry of a kind's requests: a converting one for a converted kind, else the given one. */
export function registryFor(registry: Registry, served: Served): Registry {
  if (!served.conversion) return registry
  const known = convertedOf.get(registry) ?? new Map<Kind, Registry>()
  convertedOf.set(registry, known)
  const converted = known.get(served.kind) ?? new ConvertedRegistry(registry, served.kind, served.conversion)
  known.set(served.kind, converted)
  return converted
}

/** Objects of one kind as those of another, which is the one that is stored and has the rules. */
class ConvertedRegistry extends Registry {
  readonly #kind: Kind
  readonly #of: Kind
  readonly #outward: ReadonlyMap<string, string>
  readonly #inward: ReadonlyMap<string, string>

  constructor({ store, served, claims, ration }: Registry, kind: Kind, { of, fields }: Conversion) {
    super(store, served, { claims, ration })
    this.#kind = kind
    this.#of = of
    this.#inward = new Map(Object.entries(fields))
    this.#outward = new Map(Object.entries(fields).map(([mine, stored]) => [stored, mine]))
  }

  override async get(_kind: Kind, key: Key): Promise<Stored<Doc>> {
    return this.#shown(await super.get(this.#of, key))
  }

  override async list(_kind: Kind, namespace?: string) {
    const { items, revision } = await super.list(this.#of, namespace)
    return { items: items.map((doc) => this.#shown(doc)), revision }
  }

  override async listAt(_kind: Kind, namespace: string | undefined, at: number) {
    const { items, revision } = await super.listAt(this.#of, namespace, at)
    return { items: items.map((doc) => this.#shown(doc)), revision }
  }

  override async *watch(_kind: Kind, namespace: string | undefined, after: number, signal: AbortSignal) {
    const show = (value: JsonObject) => this.#outwards(value)
    for await (const changes of super.watch(this.#of, namespace, after, signal))
      yield changes.map(
        ({ type, row, previous }): Change => ({
          type,
          row: { ...row, value: show(row.value) },
          ...(previous && { previous: { ...previous, value: show(previous.value) } }),
        }),
      )
  }

  override async create(_kind: Kind, namespace: string | undefined, input: JsonObject, options: WriteOptions) {
    const { name = '' } = requireNames(requireHeader(this.#kind, input))
    const own = withoutUnknown(this.#kind, input, input, options)
    // Stored objects only need to be valid as the stored kind; new ones as this kind, too.
    const errors = schemaErrors(this.#kind, own)
    if (errors.length) throw invalid(this.#kind, name, errors)
    const doc = await super.create(this.#of, namespace, this.#stored(own), { ...options, unknownFields: 'Ignore' })
    return this.#shown(doc)
  }

  override async update(
    _kind: Kind,
    key: Key,
    change: (current: Stored<Doc>) => JsonObject | undefined,
    options: WriteOptions,
  ): Promise<Stored<Doc>> {
    const changed = (current: Stored<Doc>) => {
      const wanted = change(this.#shown(current))
      if (wanted === undefined) return undefined
      requireHeader(this.#kind, wanted)
      return this.#stored(withoutUnknown(this.#kind, wanted, wanted, options))
    }
    return this.#shown(await super.update(this.#of, key, changed, { ...options, unknownFields: 'Ignore' }))
  }

  override async delete(_kind: Kind, key: Key, options: DeleteOptions) {
    const { doc, gone } = await super.delete(this.#of, key, options)
    return { doc: this.#shown(doc), gone }
  }

  #shown<M extends ObjectMeta>({ metadata, ...doc }: Doc & Readonly<{ metadata: M }>) {
    return { ...this.#outwards(doc), metadata }
  }

  #outwards(object: JsonObject) {
    return { ...renamed(object, this.#outward), apiVersion: apiVersionOf(this.#kind), kind: this.#kind.kind }
  }

  #stored(object: JsonObject): JsonObject {
    return { ...renamed(object, this.#inward), apiVersion: apiVersionOf(this.#of), kind: this.#of.kind }
  }
}

function renamed(object: JsonObject, names: ReadonlyMap<string, string>): JsonObject {
  return Object.fromEntries(Object.entries(object).map(([name, value]) => [names.get(name) ?? name, value]))
}
