import type { ApiObject, FieldError, Kind } from '#apis/meta/object.ts'

/** Who makes a request: the name and groups of the client certificate or the token, or a component of our own. */
export type User = Readonly<{
  name: string
  groups: readonly string[]
  uid?: string
  /** What else a token tells. */
  extra?: Readonly<Record<string, readonly string[]>>
  /** A component in the server's own process, which no request from outside can be. */
  isInternal?: boolean
}>

/** What a kind may add to the generic create and update. All functions are pure over values; none may wait. */
export type Strategy<T extends ApiObject = ApiObject> = Readonly<{
  /** Fills defaults; sees the object before validation. `old` is absent on create. */
  prepare?: (object: T, old: T | undefined) => T
  /** Everything wrong with a write, all at once. Sees only objects that fit the schema. */
  validate?: (object: T, old: T | undefined, user: User) => readonly FieldError[]
  /** Name of the admission webhook that real KubeVirt would deny with; it opens the message of a refusal. */
  webhook?: string
  /** Nobody collects what such objects own (Events): how their deletion is asked for makes no difference. */
  isUncollected?: boolean
}>

/** A kind with its strategy, as the server serves it. */
export type Served<T extends ApiObject = ApiObject> = Readonly<{ kind: Kind<T>; strategy: Strategy<T> }>

/** Pairs a kind with its strategy. The list of served kinds is over all kinds, so the object type ends here. */
export function serve<T extends ApiObject>(kind: Kind<T>, strategy: Strategy<T> = {}): Served {
  return { kind, strategy } as unknown as Served
}
