import type { Kind } from '../meta/object.ts'
import { loose, objectSchema } from '../meta/schema.ts'

/** A kind whose objects are answered and never stored. */
function review(group: string, kind: string, plural: string, description: string, namespaced = false): Kind {
  return {
    group,
    version: 'v1',
    kind,
    plural,
    singular: kind.toLowerCase(),
    shortNames: [],
    categories: [],
    namespaced,
    status: false,
    verbs: ['create'],
    columns: [],
    schema: objectSchema({ spec: loose(), status: loose() }, description),
  }
}

const authorization = 'authorization.k8s.io'
const authentication = 'authentication.k8s.io'

/** Whether the user may do something. */
export const SelfSubjectAccessReview = review(
  authorization,
  'SelfSubjectAccessReview',
  'selfsubjectaccessreviews',
  'Asks whether the sender may do something.',
)
/** Whether another user may do something. */
export const SubjectAccessReview = review(
  authorization,
  'SubjectAccessReview',
  'subjectaccessreviews',
  'Asks whether somebody may do something.',
)
/** Whether another user may do something in this namespace. */
export const LocalSubjectAccessReview = review(
  authorization,
  'LocalSubjectAccessReview',
  'localsubjectaccessreviews',
  'Asks whether somebody may do something in a namespace.',
  true,
)
/** Everything that the user may do in a namespace. */
export const SelfSubjectRulesReview = review(
  authorization,
  'SelfSubjectRulesReview',
  'selfsubjectrulesreviews',
  'Asks for everything the sender may do in a namespace.',
)
/** The user's own identity. */
export const SelfSubjectReview = review(
  authentication,
  'SelfSubjectReview',
  'selfsubjectreviews',
  'Asks who the sender is.',
)
/** Whose token is this? */
export const TokenReview = review(authentication, 'TokenReview', 'tokenreviews', 'Asks who the bearer of a token is.')

/** Posted to a ServiceAccount; the answer contains a token. */
export const TokenRequest = review(authentication, 'TokenRequest', 'tokenrequests', 'Asks for a token.', true)
