import type { Node } from '#apis/core/node.ts'
import type { KubeVirt } from '#apis/kubevirt/kubevirt.ts'
import type { FieldError } from '#apis/meta/object.ts'
import { defaultMacRange, macRangeProblem } from './macs.ts'

/**
 * The part of the cluster configuration that admission uses. The defaults are KubeVirt's, with one exception: a bridge to the pod
 * network, which all tenants share, has to be permitted, and the default interface is a bridge only if that is permitted.
 */
export type ClusterConfig = Readonly<{
  /** Binding of the default interface. */
  defaultBinding: 'bridge' | 'masquerade'
  permitBridgeOnPodNetwork: boolean
  /** Whether a feature gate is open. */
  hasGate(gate: Gate): boolean
  macRange: Readonly<{ start: string; end: string }>
  /** The networks of the nodes' pods. */
  podNetworks: readonly string[]
}>

/** Gates that admission checks: those of version 1.9 that are neither always open nor always closed. */
type Gate = 'PasstBinding' | 'PortRangesSpec' | 'NetworkDevicesWithDRA' | 'HostDisk'

/**
 * Beta features are open unless they are disabled by name; alpha features are closed unless they are enabled by name
 * (facts/kubevirt.md §6).
 */
const betaGates: ReadonlySet<Gate> = new Set(['PasstBinding'])

/** The configuration of a KubeVirt object, or the default one, for a cluster with these pod networks. */
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

/** All errors of the cluster configuration. */
export function kubeVirtErrors(kubevirt: KubeVirt): FieldError[] {
  const problem = macRangeProblem(clusterConfig(kubevirt).macRange)
  if (!problem) return []
  return [{ field: 'spec.configuration.network.macPool', message: problem, reason: 'FieldValueInvalid' }]
}
