import type { Node } from '#apis/core/node.ts'
import type { Affinity, NodeRequirement, NodeTerm } from '#apis/kubevirt/affinity.ts'

/** The one field of a node that terms may name (Kubernetes). */
const nameField = 'metadata.name'

/** Whether a node fulfils a required node affinity: one of its terms at least. */
export function matchesNodeAffinity({ metadata }: Node, affinity: Affinity | undefined): boolean {
  const terms = affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms
  if (!terms) return true
  const labels = new Map(Object.entries(metadata.labels ?? {}))
  const fields = new Map([[nameField, metadata.name]])
  return terms.some(
    (term) => !isEmpty(term) && matches(term.matchExpressions, labels) && matches(term.matchFields, fields),
  )
}

/** A term that says nothing matches no node (Kubernetes). */
function isEmpty({ matchExpressions, matchFields }: NodeTerm): boolean {
  return !matchExpressions?.length && !matchFields?.length
}

function matches(requirements: readonly NodeRequirement[] = [], values: ReadonlyMap<string, string>): boolean {
  return requirements.every((one) => isMet(one, values.get(one.key)))
}

function isMet({ operator, values = [] }: NodeRequirement, value: string | undefined): boolean {
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value)
    case 'NotIn':
      return value === undefined || !values.includes(value)
    case 'Exists':
      return value !== undefined
    case 'DoesNotExist':
      return value === undefined
    case 'Gt':
      return wholeNumber(value) > wholeNumber(values[0])
    case 'Lt':
      return wholeNumber(value) < wholeNumber(values[0])
  }
}

/** NaN for what is no whole number, so that no comparison with it holds. */
function wholeNumber(text: string | undefined): number {
  return text !== undefined && /^[+-]?\d+$/.test(text) ? Number(text) : Number.NaN
}
