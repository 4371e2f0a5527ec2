import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import { isObject, type JsonObject, parsedJson } from '#base/json.ts'
import { bindingOf, isDevice } from '../nic/bindings.ts'
import { isDefaultNetwork, networkKey } from '../nic/desired.ts'
import { readSettings, type VfSettings } from './settings.ts'

/** The annotation of a NetworkAttachmentDefinition with the resource whose devices its networks need: `PREFIX/NAME`. */
export const resourceNameAnnotation = 'k8s.v1.cni.cncf.io/resourceName'

/** Memory that a guest's pod gets in addition when the guest has a device of the host, bytes (KubeVirt). */
export const deviceMemoryBytes = 2 ** 30

/** The annotations of a NetworkAttachmentDefinition, by `namespace/name`; undefined when there is none. */
type AnnotationsOf = (network: string) => Readonly<Record<string, string>> | undefined

/** How many devices of which resource the guest of an instance needs, as the networks of its interfaces say. */
export function deviceRequests(
  spec: VmiSpec,
  namespace: string,
  annotationsOf: AnnotationsOf,
): ReadonlyMap<string, number> {
  const networks = new Map((spec.networks ?? []).map((network) => [network.name, network]))
  const counts = new Map<string, number>()
  for (const one of spec.domain.devices.interfaces ?? []) {
    const network = networks.get(one.name)
    if (!network?.multus || isDefaultNetwork(network) || !isDevice(bindingOf(one))) continue
    const resource = annotationsOf(networkKey(network, namespace))?.[resourceNameAnnotation]
    if (resource) counts.set(resource, (counts.get(resource) ?? 0) + 1)
  }
  return counts
}

/** Whether the guest of an instance has, or is to have, a device of the host. */
export function wantsDevices(spec: VmiSpec): boolean {
  return (spec.domain.devices.interfaces ?? []).some((one) => isDevice(bindingOf(one)))
}

/**
 * The settings of a VF for an interface: those of its network's configuration, which is one of the plugin sriov or a list with
 * it, and the MAC address of the guest; and every error in the configuration.
 */
export function wantedSettings(
  config: string,
  mac: string,
): Readonly<{ settings: VfSettings; errors: readonly string[] }> {
  const plugin = pluginIn(parsedJson(config))
  if (!plugin)
    return { settings: {}, errors: ['type: an interface with the binding sriov needs a network of type sriov'] }
  const { settings, errors } = readSettings(plugin)
  return errors.length ? { settings: {}, errors } : { settings: { ...settings, mac }, errors }
}

function pluginIn(config: unknown): JsonObject | undefined {
  if (!isObject(config)) return undefined
  const plugins: readonly unknown[] = Array.isArray(config.plugins) ? config.plugins : [config]
  return plugins.find((one): one is JsonObject => isObject(one) && one.type === 'sriov')
}
