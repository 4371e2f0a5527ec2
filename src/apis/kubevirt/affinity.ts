import { Type } from 'typebox'
import { noEffect, notCarriedOut } from '../meta/fate.ts'
import { type Of, oneOf, stringMap } from '../meta/schema.ts'
import * as parts from './uncarried.ts'

const strings = Type.Optional(Type.Array(Type.String()))

const labelOperators = ['In', 'NotIn', 'Exists', 'DoesNotExist'] as const

const labelSelectorSchema = Type.Object({
  matchLabels: Type.Optional(stringMap),
  matchExpressions: Type.Optional(
    Type.Array(Type.Object({ key: Type.String(), operator: oneOf(labelOperators), values: strings })),
  ),
})
export type LabelSelector = Of<typeof labelSelectorSchema>

const nodeRequirement = Type.Object({
  key: Type.String(),
  operator: oneOf([...labelOperators, 'Gt', 'Lt']),
  values: strings,
})
export type NodeRequirement = Of<typeof nodeRequirement>

const nodeTerm = Type.Object({
  matchExpressions: Type.Optional(Type.Array(nodeRequirement)),
  matchFields: Type.Optional(Type.Array(nodeRequirement)),
})
export type NodeTerm = Of<typeof nodeTerm>

const podTerm = Type.Object({
  labelSelector: Type.Optional(labelSelectorSchema),
  namespaces: strings,
  namespaceSelector: Type.Optional(
    notCarriedOut(Type.Unsafe<object>(parts.labelSelectorSchema), 'only {}, all namespaces, is obeyed', [{}]),
  ),
  topologyKey: Type.String({ description: 'Label of nodes; nodes with one value are one place.' }),
  matchLabelKeys: Type.Optional(notCarriedOut(Type.Array(Type.String()))),
  mismatchLabelKeys: Type.Optional(notCarriedOut(Type.Array(Type.String()))),
})
export type PodTerm = Of<typeof podTerm>

const unweighed = 'of the nodes that an instance may run on, the one with the fewest pods is chosen'

const podAffinity = Type.Object({
  requiredDuringSchedulingIgnoredDuringExecution: Type.Optional(Type.Array(podTerm)),
  preferredDuringSchedulingIgnoredDuringExecution: Type.Optional(noEffect(parts.preferredPods, unweighed)),
})

/** Where an instance may run, by labels of nodes and by the pods that are there already. */
export const affinitySchema = Type.Object({
  nodeAffinity: Type.Optional(
    Type.Object({
      requiredDuringSchedulingIgnoredDuringExecution: Type.Optional(
        Type.Object({ nodeSelectorTerms: Type.Array(nodeTerm) }),
      ),
      preferredDuringSchedulingIgnoredDuringExecution: Type.Optional(noEffect(parts.preferredNodes, unweighed)),
    }),
  ),
  podAffinity: Type.Optional(podAffinity),
  podAntiAffinity: Type.Optional(podAffinity),
})
export type Affinity = Of<typeof affinitySchema>

export const tolerationsSchema = Type.Array(
  Type.Object({
    key: Type.Optional(Type.String()),
    operator: Type.Optional(Type.String({ description: 'Equal (default) or Exists.' })),
    value: Type.Optional(Type.String()),
    effect: Type.Optional(Type.String({ description: 'NoSchedule, PreferNoSchedule or NoExecute; all when absent.' })),
    tolerationSeconds: Type.Optional(noEffect(Type.Integer(), 'a taint takes no running instance off its node')),
  }),
)
export type Toleration = Of<typeof tolerationsSchema>[number]
