import type { Node } from '#apis/core/node.ts'
import type { KubeVirt } from '#apis/kubevirt/kubevirt.ts'
import type { FieldError } from '#apis/meta/object.ts'
import { defaultMacRange, macRangeProblem } from './macs.ts'

/**
 * What the cluster configuration says to admission. Everything has KubeVirt's default but one thing: a bridge to the pod network,
 * which all tenants share, has to be permitted, and an interface nobody asked for is a bridge only where it is.
 */
export type ClusterConfig = Readonly<{
  /** Binding of the interface that a VM without any gets. */
  defaultBinding: 'bridge' | 'masquerade'
  permitBridgeOnPodNetwork: boolean
  /** Whether a feature gate is open. */
  hasGate(gate: Gate): boolean
  macRange: Readonly<{ start: string; end: string }>
  /** The networks of the nodes' pods. */
  podNetworks: readonly string[]
}>

/** Gates that admission asks about: those of version 1.9 that are not open to all or shut for good. */
type Gate = 'PasstBinding' | 'PortRangesSpec' | 'NetworkDevicesWithDRA'

/** Beta features are open unless they are shut by name, alpha features the other way round (facts/kubevirt.md §6). */
const betaGates: ReadonlySet<Gate> = new Set(['PasstBinding'])

/** The configuration of a KubeVirt object, or of none, for a cluster with these nodes. */
export function clusterConfig(kubevirt?: KubeVirt, nodes: readonly Node[] = []): ClusterConfig {
  const { network = {}, developerConfiguration = {} } = kubevirt?.spec?.configuration ?? {}
  const { featureGates = [], disabledFeatureGates = [] } = developerConfiguration
  const { rangeStart, rangeEnd } = network.macPool ?? {}
  const permitBridgeOnPodNetwork = network.permitBridgeInterfaceOnPodNetwork ?? false
  return {
    defaultBinding: network.defaultNetworkInterface ?? (permitBridgeOnPodNetwork ? 'bridge' : 'masquerade'),
    permitBridgeOnPodNetwork,
    hasGate: (gate) => featureGates.includes(gate) || (betaGates.has(gate) && !disabledFeatureGates.includes(gate)),
    macRange: { start: rangeStart ?? defaultMacRange.start, end: rangeEnd ?? defaultMacRange.end },
    podNetworks: nodes.flatMap(({ spec }) => spec?.podCIDR ?? []),
  }
}

/** Everything wrong with the cluster configuration. */
export function kubeVirtErrors(kubevirt: KubeVirt): FieldError[] {
  const problem = macRangeProblem(clusterConfig(kubevirt).macRange)
  if (!problem) return []
  return [{ field: 'spec.configuration.network.macPool', message: problem, reason: 'FieldValueInvalid' }]
}
