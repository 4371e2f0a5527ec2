import { apiVersionOf, type Kind } from '#apis/meta/object.ts'
import type { JsonObject } from '#base/json.ts'
import type { ResourcePath } from '../path.ts'
import type { User } from '../strategy.ts'

/** The user and path of a review, and the sink of warnings for the client. */
export type ReviewContext = Readonly<{ user: User; path: ResourcePath; warn: (text: string) => void }>

/** A virtual resource that is created and never stored: the posted object comes back with its answer filled in. */
export type Review = Readonly<{
  /** The resource it is posted to. */
  at: Pick<Kind, 'group' | 'version' | 'plural'>
  subresource?: string
  /** The kind of what is posted; it is shown in discovery unless it belongs to a subresource. */
  kind: Kind
  /** Whether the answer gives something away that was not there before, such as a token; such reviews are audited. */
  isWrite: boolean
  answer(input: JsonObject, context: ReviewContext): Promise<JsonObject> | JsonObject
}>

/** The review behind a path. */
export function findReview(reviews: readonly Review[], path: ResourcePath): Review | undefined {
  return reviews.find(
    ({ at, subresource, kind }) =>
      at.group === path.group &&
      at.version === path.version &&
      at.plural === path.plural &&
      subresource === path.subresource &&
      // A right in one namespace must not open reviews of all namespaces.
      kind.namespaced === (path.namespace !== undefined) &&
      (subresource === undefined) === (path.name === undefined),
  )
}

/** The whole answer, with what every object has. */
export async function answerReview(
  { kind, answer }: Review,
  input: JsonObject,
  context: ReviewContext,
): Promise<JsonObject> {
  const body = await answer(input, context)
  return { kind: kind.kind, apiVersion: apiVersionOf(kind), metadata: { creationTimestamp: null }, ...body }
}
