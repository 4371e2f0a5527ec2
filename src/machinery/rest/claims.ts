import { Fault, faultKind } from '#base/fault.ts'
import type { JsonObject } from '#base/json.ts'
import type { Row, Store } from '../store/store.ts'

/** Where claims are in the store, by value. No kind is served there. */
const prefix = '/claims/'

/** Who has a value: an object, by its namespace and what people call it. */
export type Owner = Readonly<{ uid: string; kind: string; namespace: string; name: string }>

/**
 * What an object claims for itself. Objects of one owner may have the same values: an instance has those of its VM. What it
 * has `copied` from there is not judged again, so it may lack a claim.
 */
export type ClaimRequest = Readonly<{ uid: string; owner: Owner; values: readonly string[]; copied: readonly string[] }>

/** One value: whose it is, and the objects that have it. */
type Held = { owner: Owner; uids: Set<string> }

/**
 * Values that no two owners have at once, one row of the store each: written before the object that needs it, and given back
 * after the object has gone or changed. A crash in between leaves a row too many, which `repair` finds at the next start.
 */
export class Claims {
  readonly #store: Store
  readonly #held = new Map<string, Held>()
  readonly #byUid = new Map<string, Set<string>>()
  /** Writes under way by object, and how many have begun: values are given back by the last of them. */
  readonly #writing = new Map<string, { count: number; begun: number }>()

  constructor(store: Store) {
    this.#store = store
  }

  /** How many values are claimed. */
  get size(): number {
    return this.#held.size
  }

  /** Whose a value is. */
  ownerOf(value: string): Owner | undefined {
    return this.#held.get(value)?.owner
  }

  has(uid: string, value: string): boolean {
    return this.#byUid.get(uid)?.has(value) === true
  }

  /**
   * Writes an object that may need values. `write` calls `need` with the values of the valid object, and is called again
   * after a claim. `left` returns what the object has in the end.
   */
  async during<T>(
    uid: string,
    write: (need: (request: ClaimRequest) => void) => Promise<T>,
    left: () => Promise<readonly string[]>,
  ): Promise<T> {
    const writing = this.#writing.get(uid) ?? { count: 0, begun: 0 }
    this.#writing.set(uid, writing)
    writing.count++
    writing.begun++
    const tried = new Set<string>()
    try {
      for (let round = 0; ; round++) {
        try {
          return await write((request) => this.#require(request, tried))
        } catch (error) {
          if (!(error instanceof Unclaimed)) throw error
          if (round === maxRounds)
            throw new Fault('Unavailable', 'others claim the same values all the time; try again')
          await this.#claim(error.request, tried)
        }
      }
    } finally {
      await this.#finish(uid, writing, left)
    }
  }

  /** Gives back everything that an object has: it is gone. */
  release(uid: string): Promise<void> {
    return this.#settle(uid, new Set())
  }

  /** Makes the claims those of all objects there are. Of two objects that have a value already the first one keeps it. */
  async repair(requests: readonly ClaimRequest[]): Promise<void> {
    const { rows } = await this.#store.list(prefix)
    for (const row of rows) this.#note(row)
    const wanted = new Map(requests.map((request) => [request.uid, new Set(request.values)]))
    for (const uid of [...this.#byUid.keys()]) await this.#settle(uid, wanted.get(uid) ?? new Set())
    for (const request of requests) {
      const missing = request.values.filter(
        (value) => !this.has(request.uid, value) && this.#isOpen(value, request.owner),
      )
      await Promise.all(missing.map((value) => this.#put(value, request)))
    }
  }

  async #finish(
    uid: string,
    writing: { count: number; begun: number },
    left: () => Promise<readonly string[]>,
  ): Promise<void> {
    let values: readonly string[] = []
    let begun = -1
    // What was read while another write began may be what was before it.
    while (this.#byUid.has(uid) && begun !== writing.begun) {
      begun = writing.begun
      values = await left()
    }
    writing.count--
    if (writing.count) return
    this.#writing.delete(uid)
    await this.#settle(uid, new Set(values))
  }

  /** @throws Unclaimed unless the object has its values, or cannot have them */
  #require(request: ClaimRequest, tried: ReadonlySet<string>): void {
    const isMissing = (value: string) =>
      !this.has(request.uid, value) && !(tried.has(value) && request.copied.includes(value))
    if (request.values.some(isMissing)) throw new Unclaimed(request)
  }

  async #claim(request: ClaimRequest, tried: Set<string>): Promise<void> {
    const missing = request.values.filter((value) => !this.has(request.uid, value))
    await Promise.all(
      missing.map(async (value) => {
        tried.add(value)
        try {
          await this.#put(value, request)
        } catch (error) {
          // Another object has it. The retry validates the object again, and knows that.
          if (faultKind(error) !== 'Conflict') throw error
          const row = await this.#store.get(prefix + value)
          if (row) this.#note(row)
        }
      }),
    )
  }

  #isOpen(value: string, { uid }: Owner): boolean {
    const held = this.#held.get(value)
    return !held || held.owner.uid === uid
  }

  async #put(value: string, { uid, owner }: ClaimRequest): Promise<void> {
    const row = await this.#store.update(prefix + value, (current) => {
      const before = current ? heldIn(current) : { owner, uids: new Set<string>() }
      if (before.owner.uid !== owner.uid) throw new Fault('Conflict', `${value} belongs to another object`)
      return { type: 'put', value: { owner, uids: [...before.uids.add(uid)] } }
    })
    if (row) this.#note(row)
  }

  /** Gives back what an object has beside `values`. */
  async #settle(uid: string, values: ReadonlySet<string>): Promise<void> {
    const surplus = [...(this.#byUid.get(uid) ?? [])].filter((value) => !values.has(value))
    // Before the first await: a concurrent write claims it again.
    for (const value of surplus) this.#forget(uid, value)
    await Promise.all(
      surplus.map((value) =>
        this.#store.update(prefix + value, (current) => {
          if (!current) return undefined
          const { owner, uids } = heldIn(current)
          if (!uids.delete(uid)) return undefined
          return uids.size ? { type: 'put', value: { owner, uids: [...uids] } } : { type: 'delete' }
        }),
      ),
    )
  }

  #note(row: Row): void {
    const value = row.key.slice(prefix.length)
    const held = heldIn(row)
    this.#held.set(value, held)
    for (const uid of held.uids) this.#byUid.set(uid, (this.#byUid.get(uid) ?? new Set()).add(value))
  }

  #forget(uid: string, value: string): void {
    const held = this.#held.get(value)
    held?.uids.delete(uid)
    if (!held?.uids.size) this.#held.delete(value)
    const values = this.#byUid.get(uid)
    values?.delete(value)
    if (!values?.size) this.#byUid.delete(uid)
  }
}

/** How often a write is judged again because others were faster. */
const maxRounds = 20

/** An object needs values that are not its own yet. Never leaves `during`. */
class Unclaimed extends Error {
  readonly request: ClaimRequest

  constructor(request: ClaimRequest) {
    super('values are not claimed yet')
    this.request = request
  }
}

function heldIn({ value }: Row): Held {
  const { owner, uids } = value as { owner: Owner & JsonObject; uids: readonly string[] }
  return { owner, uids: new Set(uids) }
}
