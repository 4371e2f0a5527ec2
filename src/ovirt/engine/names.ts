import type { VirtualMachine } from '#apis/kubevirt/vm.ts'

/** Where everything of the engine is served; hrefs begin with it and have no host (facts/ovirt-clients.md §3). */
export const apiRoot = '/ovirt-engine/api'

/** On a VirtualMachine: its cluster, if it is not the first of its namespace. */
export const clusterLabel = 'ovirt.patchbay.dev/cluster'
/** On a VirtualMachine that is a template. */
export const templateLabel = 'ovirt.patchbay.dev/template'
/** What oVirt knows of a VM or a network and Kubernetes has no field for. */
export const descriptionAnnotation = 'ovirt.patchbay.dev/description'
export const commentAnnotation = 'ovirt.patchbay.dev/comment'
/** On a VirtualMachine: what oVirt knows of its interfaces beyond the template, as JSON by interface (`NicExtras`). */
export const nicsAnnotation = 'ovirt.patchbay.dev/nics'
/** On a NetworkAttachmentDefinition: its vNIC profiles beside the one of its own name, as a JSON list. */
export const profilesAnnotation = 'ovirt.patchbay.dev/vnic-profiles'
/** The ConfigMap of a namespace with its clusters. */
export const settingsName = 'patchbay-ovirt'
/**
 * On a VirtualMachine: the generation in which the engine itself changed its interfaces last. It writes the entries of that change
 * when the guest has followed; those of all other changes are written when they are seen.
 */
export const ownGenerationAnnotation = 'ovirt.patchbay.dev/own-generation'

/** Whether a VM is a template. */
export function isTemplateVm({ metadata }: Pick<VirtualMachine, 'metadata'>): boolean {
  return metadata.labels?.[templateLabel] !== undefined
}
