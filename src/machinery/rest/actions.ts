import type { Kind } from '#apis/meta/object.ts'
import { Fault } from '#base/fault.ts'
import { isObject, type JsonObject } from '#base/json.ts'
import type { ResourcePath } from './path.ts'
import { objectBody, type Query } from './request.ts'
import type { User } from './strategy.ts'

/** A call of a verb that is no change of an object as such. */
export type ActionCall = Readonly<{
  namespace: string
  name: string
  input: JsonObject
  query: Query
  user: User
  /** Only say whether it would work. */
  dryRun: boolean
  /** Aborts when the client has left. */
  signal: AbortSignal
}>

/** What an action answers. */
type ActionAnswer = Readonly<{
  code: number
  body?: JsonObject
  text?: string
  bytes?: Readonly<{ type: string; data: Uint8Array }>
}>

/** A verb of a resource, such as `start`: a subresource in an API group of its own that is written to or read. */
export type Action = Readonly<{
  at: Pick<Kind, 'group' | 'version' | 'plural'>
  subresource: string
  method: 'PUT' | 'GET'
  /** The kind of the object it is about, for discovery. */
  kind: string
  /** What its answer looks like, for OpenAPI; many answer nothing, or what is no object. */
  answer?: Readonly<{ kind: string; schema: JsonObject }>
  /** Resolves to what is answered: an object, plain text, or bytes of a type; none is an empty answer. @throws Fault */
  run(call: ActionCall): Promise<ActionAnswer>
}>

/** A subresource that clients of other servers know and this one does not have; `instead` says why, or what to use. */
export type AbsentSubresource = Readonly<{
  at: Pick<Kind, 'group' | 'version' | 'plural'>
  subresource: string
  instead: string
}>

/** A kind, in any version, that clients of other servers know and this one does not have. */
export type AbsentKind = Readonly<{ group: string; plural: string; instead: string }>

/** @throws Fault NotFound for what is known not to be there: about the kind or subresource, not about the object */
export function requirePresent(absent: readonly (AbsentSubresource | AbsentKind)[], path: ResourcePath): void {
  const found = absent.find((one) =>
    'at' in one
      ? isAt(one.at, path) && one.subresource === path.subresource
      : one.group === path.group && one.plural === path.plural,
  )
  if (!found) return
  const what = 'at' in found ? `is no ${path.plural}/${path.subresource}` : `are no ${path.plural}.${path.group}`
  throw new Fault('NotFound', `there ${what} here: ${found.instead}`)
}

function isAt(at: Action['at'], path: ResourcePath): boolean {
  return at.group === path.group && at.version === path.version && at.plural === path.plural
}

/** The action behind a path. */
export function findAction(actions: readonly Action[], path: ResourcePath): Action | undefined {
  return actions.find(
    ({ at, subresource }) => isAt(at, path) && subresource === path.subresource && path.namespace !== undefined,
  )
}

/** What was sent along with an action: nothing at all, or an object in JSON or YAML. @throws Fault BadRequest */
export function actionInput(contentType: string, body: Buffer | undefined): JsonObject {
  if (!body?.toString().trim()) return {}
  // JSON is YAML too, and virtctl says nothing about what it sends.
  return objectBody(contentType === 'application/json' ? contentType : 'application/yaml', body)
}

/** Whether an action is only to be tried, by its body or its query. */
export function isTrial(input: JsonObject, isDryRunQuery: boolean): boolean {
  return isDryRunQuery || (Array.isArray(input.dryRun) && input.dryRun.includes('All'))
}

/** What discovery has to know of an action. */
type Listed = Pick<Action, 'at' | 'subresource' | 'method' | 'kind' | 'answer'>

/**
 * Actions as discovery shows them: subresources that have no resource in their own group. Those of `kinds` are listed with these
 * (Kind.subresources).
 */
export function actionKinds(actions: readonly Listed[], kinds: readonly Kind[]): Kind[] {
  const isOfKind = ({ at }: Listed) =>
    kinds.some(({ group, version, plural }) => at.group === group && at.version === version && at.plural === plural)
  const own = actions.filter((action) => !isOfKind(action))
  return own.map(({ at, subresource, method, kind }) => ({
    ...at,
    kind,
    plural: `${at.plural}/${subresource}`,
    singular: '',
    shortNames: [],
    categories: [],
    namespaced: true,
    status: false,
    verbs: [method === 'PUT' ? 'update' : 'get'],
    columns: [],
    schema: {},
  }))
}

/** Actions as OpenAPI shows them: those that say what their answer looks like. */
export function describedActions(actions: readonly Listed[]): Kind[] {
  const described = actions.filter(({ answer }) => answer !== undefined)
  return actionKinds(described, []).map((kind, i) => ({ ...kind, ...described[i]?.answer }))
}

/** A whole number in the input; undefined without one. */
export function numberIn(input: JsonObject, field: string): number | undefined {
  const value = isObject(input) ? input[field] : undefined
  return value === undefined || value === null ? undefined : Number(value)
}
