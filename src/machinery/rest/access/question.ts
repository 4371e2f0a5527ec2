import { apiVersionOf, type Kind } from '#apis/meta/object.ts'
import type { JsonObject } from '#base/json.ts'
import type { ResourcePath } from '../path.ts'
import type { User } from '../strategy.ts'

/** Whom a question comes from, where it was sent, and what takes warnings for the client. */
export type Asking = Readonly<{ user: User; path: ResourcePath; warn: (text: string) => void }>

/** A resource that is asked and never stored: what is posted comes back with the fields that answer it. */
export type Question = Readonly<{
  /** The resource it is posted to. */
  at: Pick<Kind, 'group' | 'version' | 'plural'>
  subresource?: string
  /** The kind of what is posted; it is shown in discovery unless it belongs to a subresource. */
  kind: Kind
  /** Whether the answer gives something away that was not there before, such as a token; such questions are audited. */
  isWrite: boolean
  answer(input: JsonObject, asking: Asking): Promise<JsonObject> | JsonObject
}>

/** The question behind a path. */
export function findQuestion(questions: readonly Question[], path: ResourcePath): Question | undefined {
  return questions.find(
    ({ at, subresource, kind }) =>
      at.group === path.group &&
      at.version === path.version &&
      at.plural === path.plural &&
      subresource === path.subresource &&
      // A right in one namespace must not open what is asked about all of them.
      kind.namespaced === (path.namespace !== undefined) &&
      (subresource === undefined) === (path.name === undefined),
  )
}

/** The whole answer, with what every object has. */
export async function ask({ kind, answer }: Question, input: JsonObject, asking: Asking): Promise<JsonObject> {
  const body = await answer(input, asking)
  return { kind: kind.kind, apiVersion: apiVersionOf(kind), metadata: { creationTimestamp: null }, ...body }
}
