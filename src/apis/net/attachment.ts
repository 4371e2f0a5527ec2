import { Type } from 'typebox'
import { isObject, parsedJson } from '#base/json.ts'
import type { Kind, ObjectMeta } from '../meta/object.ts'
import { objectSchema } from '../meta/schema.ts'

/** A network that interfaces can be connected to: `spec.config` is a CNI configuration as JSON text. */
export type NetworkAttachmentDefinition = Readonly<{
  apiVersion: string
  kind: string
  metadata: ObjectMeta
  spec?: Readonly<{ config?: string }>
}>

export const NetworkAttachmentDefinition: Kind<NetworkAttachmentDefinition> = {
  group: 'k8s.cni.cncf.io',
  version: 'v1',
  kind: 'NetworkAttachmentDefinition',
  plural: 'network-attachment-definitions',
  singular: 'network-attachment-definition',
  shortNames: ['net-attach-def'],
  categories: [],
  namespaced: true,
  status: false,
  columns: [{ name: 'Age', type: 'date', path: 'metadata.creationTimestamp' }],
  schema: objectSchema(
    {
      spec: Type.Optional(
        Type.Object({
          config: Type.Optional(Type.String({ description: 'CNI configuration or configuration list, as JSON text.' })),
        }),
      ),
    },
    'A network that interfaces of virtual machines can be connected to.',
  ),
}

/** Multus' annotation that requests a pod's networks. */
export const networksAnnotation = 'k8s.v1.cni.cncf.io/networks'
/** Multus' annotation with a pod's networks. */
export const networkStatusAnnotation = 'k8s.v1.cni.cncf.io/network-status'

/** KubeVirt's annotation of a pod with the devices of its interfaces. */
export const networkInfoAnnotation = 'kubevirt.io/network-info'

/** Multus' annotation for a network in place of the pod network. */
export const defaultNetworkAnnotation = 'v1.multus-cni.io/default-network'

/** One element of the annotation that requests networks. */
export type NetworkSelection = Readonly<{ name: string; namespace: string; interface: string; mac?: string }>
/** One element of the annotation with a pod's networks. `name` is `namespace/name` of the NAD, or the pod network's own name. */
export type NetworkStatus = Readonly<{
  name: string
  interface: string
  mac?: string
  ips?: readonly string[]
  default?: boolean
  dns: Readonly<Record<string, never>>
  /** The device of the host that the network is reached by. */
  'device-info'?: Readonly<{ type: 'pci'; version: string; pci: Readonly<{ 'pci-address': string }> }>
}>

/** The networks in a pod's annotations, as the agent of its node wrote them; empty until it has. */
export function networkStatusIn(annotations: Readonly<Record<string, string>> | undefined): readonly NetworkStatus[] {
  return listIn(annotations?.[networkStatusAnnotation])
}

/** The networks that a pod requests by its annotations. */
export function networkSelectionsIn(
  annotations: Readonly<Record<string, string>> | undefined,
): readonly NetworkSelection[] {
  return listIn(annotations?.[networksAnnotation])
}

/** The elements of an annotation; its pod's owner may have written anything there, which counts as nothing. */
function listIn<T>(text = ''): readonly T[] {
  const list = parsedJson(text)
  return Array.isArray(list) ? list.filter((one): one is T => isObject(one)) : []
}
