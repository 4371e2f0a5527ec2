import type { Node } from '#apis/core/node.ts'
import type { Affinity, LabelSelector, PodTerm } from '#apis/kubevirt/affinity.ts'
import { isSelected, type Requirement } from '#apis/meta/selector.ts'

type Labels = Readonly<Record<string, string>>

/** A pod that is on a node, as far as other pods are placed by it. */
export type PlacedPod = Readonly<{ namespace: string; labels: Labels; node: string; affinity: Affinity | undefined }>

/** The pod that is to be placed. */
export type NewcomerPod = Omit<PlacedPod, 'node'>

/** Why a node is not fit because of the pods that are on others like it. */
export type PodVeto = (node: Node) => string | undefined

/**
 * What required affinity and anti-affinity between pods keep a newcomer off, in Kubernetes' words: its own, and the anti-affinity
 * of those that are placed already. `byName` finds nodes of pods.
 */
export function podVeto(
  newcomer: NewcomerPod,
  placed: readonly PlacedPod[],
  byName: (name: string) => Node | undefined,
): PodVeto {
  const near = requiredOf(newcomer.affinity?.podAffinity).map((term) => placesOf(term, newcomer, placed, byName))
  const apart = requiredOf(newcomer.affinity?.podAntiAffinity).map((term) => placesOf(term, newcomer, placed, byName))
  const shunned = placed.flatMap((pod) =>
    requiredOf(pod.affinity?.podAntiAffinity)
      .filter((term) => selects(term, pod, newcomer))
      .map((term) => placesOf(term, pod, [pod], byName, () => true)),
  )
  // The first of a group that is to be together has none to be with (Kubernetes).
  const isFirst =
    near.every(({ values }) => !values.size) &&
    requiredOf(newcomer.affinity?.podAffinity).every((term) => selects(term, newcomer, newcomer))
  return ({ metadata }) => {
    const isAt = ({ key, values }: Places) => {
      const value = metadata.labels?.[key]
      return value !== undefined && values.has(value)
    }
    if (!near.every((places) => isAt(places) || (isFirst && metadata.labels?.[places.key] !== undefined)))
      return "node(s) didn't match pod affinity rules"
    if (apart.some(isAt)) return "node(s) didn't match pod anti-affinity rules"
    return shunned.some(isAt) ? "node(s) didn't satisfy existing pods anti-affinity rules" : undefined
  }
}

/** Whether an affinity names other pods, so that a pod which comes may be what an instance waits for. */
export function isByPods(affinity: Affinity | undefined): boolean {
  return requiredOf(affinity?.podAffinity).length > 0
}

/** Whether a newcomer can be kept off a node by other pods at all. */
export function hasPodTerms(affinity: Affinity | undefined): boolean {
  return requiredOf(affinity?.podAffinity).length + requiredOf(affinity?.podAntiAffinity).length > 0
}

/** Values of a node label. */
type Places = Readonly<{ key: string; values: ReadonlySet<string> }>

/** Where the pods are that a term selects. */
function placesOf(
  term: PodTerm,
  owner: NewcomerPod,
  pods: readonly PlacedPod[],
  byName: (name: string) => Node | undefined,
  isMeant = (pod: PlacedPod) => selects(term, owner, pod),
): Places {
  const key = term.topologyKey
  const values = pods.filter(isMeant).flatMap(({ node }) => byName(node)?.metadata.labels?.[key] ?? [])
  return { key, values: new Set(values) }
}

/** Whether a term of one pod is about another. A selector of namespaces means all of them; without any it is the owner's. */
function selects(term: PodTerm, owner: NewcomerPod, other: NewcomerPod): boolean {
  const { namespaces = [], namespaceSelector, labelSelector } = term
  const isAnywhere = namespaceSelector !== undefined && !Object.keys(namespaceSelector).length
  const named = namespaces.length ? namespaces : [owner.namespace]
  if (!isAnywhere && !named.includes(other.namespace)) return false
  return labelSelector !== undefined && isSelected(requirementsOf(labelSelector), other.labels)
}

function requirementsOf({ matchLabels = {}, matchExpressions = [] }: LabelSelector): Requirement[] {
  return [
    ...Object.entries(matchLabels).map(([key, value]) => ({ key, operator: 'In' as const, values: new Set([value]) })),
    ...matchExpressions.map(({ key, operator, values = [] }) => ({ key, operator, values: new Set(values) })),
  ]
}

function requiredOf(affinity: Affinity['podAffinity']): readonly PodTerm[] {
  return affinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []
}
