import { parseQuantity } from '#apis/meta/quantity.ts'
import { Fault } from '#base/fault.ts'
import { isObject, type JsonObject } from '#base/json.ts'
import type { Bandwidth } from '#core/sandbox/plan.ts'
import { type PluginConf, quoted } from './conflist.ts'

/** The runtime parameters of an interface, as Multus and container runtimes pass them to plugins. */
export type CniRuntime = Readonly<{
  pod?: Readonly<{ namespace: string; name: string; uid: string }>
  /** The MAC on the network. */
  mac?: string
  /** Addresses the interface had before and gets again, with prefix length. */
  ips?: readonly string[]
  /** Host ports that are forwarded to the same ports of the interface's address. */
  ports?: readonly Readonly<{ protocol: 'tcp' | 'udp'; port: number }>[]
  /** Most traffic to the guest (ingress) and from it, bits per second, as quantities. */
  bandwidth?: Bandwidth
}>

/** A burst that limits nothing, bits; the plugin wants one with each rate. kubelet gives the same. */
const unlimitedBurst = 2 ** 31 - 1

/** The least and the most that kubelet takes for a rate, bits per second. */
const rates = { least: 1e3, most: 1e15 }

/** CNI_ARGS as Kubernetes' runtimes and Multus give them. */
export function argsOf(containerId: string, { pod, mac }: CniRuntime): Record<string, string> {
  return {
    IgnoreUnknown: '1',
    ...(pod && {
      K8S_POD_NAMESPACE: pod.namespace,
      K8S_POD_NAME: pod.name,
      K8S_POD_INFRA_CONTAINER_ID: containerId,
      K8S_POD_UID: pod.uid,
    }),
    ...(mac !== undefined && { MAC: mac }),
  }
}

/** Whether a plugin's configuration declares a capability: it gets declared ones in runtimeConfig. */
export function isDeclared({ capabilities }: PluginConf, capability: string): boolean {
  return isObject(capabilities) && capabilities[capability] === true
}

/**
 * The runtimeConfig of a plugin: the capabilities it declares, of those that we support (CNI's CONVENTIONS.md).
 * @throws Fault Invalid for a malformed bandwidth
 */
export function runtimeConfigOf(
  plugin: PluginConf,
  { mac, ips, ports, bandwidth }: CniRuntime,
): JsonObject | undefined {
  const said = {
    ...(mac !== undefined && { mac }),
    ...(ips?.length && { ips }),
    ...(ports?.length && {
      portMappings: ports.map(({ port, protocol }) => ({ hostPort: port, containerPort: port, protocol })),
    }),
    ...(bandwidth && isDeclared(plugin, 'bandwidth') && { bandwidth: limitsOf(bandwidth) }),
  }
  const declared = Object.entries(said).filter(([capability]) => isDeclared(plugin, capability))
  return declared.length ? Object.fromEntries(declared) : undefined
}

function limitsOf({ ingress, egress }: Bandwidth): JsonObject {
  return {
    ...(ingress !== undefined && { ingressRate: rateOf('ingress', ingress), ingressBurst: unlimitedBurst }),
    ...(egress !== undefined && { egressRate: rateOf('egress', egress), egressBurst: unlimitedBurst }),
  }
}

function rateOf(way: string, text: string): number {
  const rate = Number(parseQuantity(text)?.milli ?? 0n) / 1000
  if (rate >= rates.least && rate <= rates.most) return Math.floor(rate)
  throw new Fault(
    'Invalid',
    `the annotation kubernetes.io/${way}-bandwidth: ${quoted(text)} is no quantity of bits per second between 1k and 1P; correct it in the VM's template`,
  )
}
