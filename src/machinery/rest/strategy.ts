import type { ApiObject, FieldError, Kind, Stored } from '#apis/meta/object.ts'
import type { ClaimRequest } from './claims.ts'
import type { Doc } from './doc.ts'

/** Who makes a request: the name and groups of the client certificate or the token, or a component of our own. */
export type User = Readonly<{
  name: string
  groups: readonly string[]
  uid?: string
  /** Extra fields of a token. */
  extra?: Readonly<Record<string, readonly string[]>>
}>

/** What a kind may add to the generic create and update. All functions are pure over values; none may wait. */
export type Strategy<T extends ApiObject = ApiObject> = Readonly<{
  /** Fills defaults; sees the object before validation. `old` is absent on create. */
  prepare?: (object: T, old: Stored<T> | undefined, user: User) => T
  /** Everything wrong with a write, all at once. Sees only objects that fit the schema. */
  validate?: (object: T, old: Stored<T> | undefined, user: User) => readonly FieldError[]
  /** What the user who writes an object is to know of it, whether or not it is refused. Sees only objects that fit the schema. */
  warnings?: (object: T, old: Stored<T> | undefined) => readonly string[]
  /**
   * Why a user with the right to write this kind may not write this object. Called for every write, of subresources and
   * deletions too; `old` is absent on create.
   */
  restrict?: (object: T, old: Stored<T> | undefined, user: User) => string | undefined
  /** Values that only one owner may have (see claims.ts). Sees only objects that fit the schema. */
  claims?: (object: T) => ClaimRequest
  /** What an object takes of its namespace, by name; a value that is the same again costs nothing (see usage.ts). */
  amounts?: (object: T) => Readonly<Record<string, bigint>>
  /** Name of the admission webhook that real KubeVirt would deny with; it opens the message of a refusal. */
  webhook?: string
}>

/** What a kind is another form of: its objects are those of `of`, with the top-level `fields` under other names (mine: theirs). */
export type Conversion = Readonly<{ of: Kind; fields: Readonly<Record<string, string>> }>

/** A kind with its strategy, as the server serves it. */
export type Served = Readonly<{ kind: Kind; strategy: Strategy<Doc>; conversion?: Conversion }>

/** Pairs a kind with its strategy. */
export function serve<T extends ApiObject>(kind: Kind<T>, strategy: Strategy<T> = {}): Served {
  // The one place where a kind's own type ends: the registry gives a strategy only objects of its kind, checked by its schema.
  return { kind, strategy: strategy as Strategy<Doc> }
}

/** The same kind in an older version, whose objects look alike; clients are warned that it will go. */
export function serveOlder({ kind }: Served, version: string): Served {
  const deprecation = `${kind.group}/${version} is now deprecated and will be removed in a future release.`
  return serveConverted({ ...kind, version, deprecation }, kind, {})
}

/** A kind whose objects are stored as those of another. */
export function serveConverted(kind: Kind, of: Kind, fields: Readonly<Record<string, string>>): Served {
  return { kind, strategy: {}, conversion: { of, fields } }
}
