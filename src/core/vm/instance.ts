import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { apiVersionOf, type ObjectMeta } from '#apis/meta/object.ts'
import { isObject, sameJson } from '#base/json.ts'
import { pausedAnnotation } from './actions.ts'
import { withoutAbsent } from './live.ts'

/** Keeps an instance until its guest has been stopped and its sandbox removed. */
export const vmiFinalizer = 'foregroundDeleteVirtualMachine'

/** The instance of a VM's template, to be created; the API server adds its identity. */
export function instanceOf(vm: VirtualMachine, { isPaused = false } = {}): VirtualMachineInstance {
  const { labels, annotations: own } = templateMetadata(vm)
  const annotations = { ...own, ...ownAnnotations(vm.metadata), ...(isPaused && { [pausedAnnotation]: 'true' }) }
  const { name, namespace, uid } = vm.metadata
  return {
    apiVersion: apiVersionOf(VirtualMachineInstance),
    kind: VirtualMachineInstance.kind,
    metadata: {
      name,
      ...(namespace !== undefined && { namespace }),
      labels: { ...labels, 'kubevirt.io/vm': name },
      ...(Object.keys(annotations).length && { annotations }),
      finalizers: [vmiFinalizer],
      ownerReferences: [
        {
          apiVersion: apiVersionOf(VirtualMachine),
          kind: VirtualMachine.kind,
          name,
          uid: uid ?? '',
          controller: true,
          blockOwnerDeletion: true,
        },
      ],
    },
    spec: withoutAbsent(vm.spec.template.spec),
  }
}

/** What the metadata of a VM's template says of its instance. */
export function templateMetadata({ spec }: VirtualMachine): Pick<ObjectMeta, 'labels' | 'annotations'> {
  return isObject(spec.template.metadata) ? (spec.template.metadata as ReturnType<typeof templateMetadata>) : {}
}

/** The annotations of a VM that its instance always shares. */
function ownAnnotations({ annotations }: ObjectMeta): Record<string, string> {
  return Object.fromEntries(Object.entries(annotations ?? {}).filter(([key]) => key.startsWith('patchbay.dev/')))
}

/** The instance with the current annotations of its VM; the same object when it has them already. */
export function withAnnotationsOf(vm: VirtualMachine, vmi: VirtualMachineInstance): VirtualMachineInstance {
  const { metadata: template } = instanceOf(vm)
  const kept = Object.entries(vmi.metadata.annotations ?? {}).filter(
    ([key]) => !key.startsWith('patchbay.dev/') || template.annotations?.[key] !== undefined,
  )
  const annotations = { ...Object.fromEntries(kept), ...ownAnnotations({ ...template }) }
  if (sameJson(annotations, vmi.metadata.annotations ?? {})) return vmi
  return { ...vmi, metadata: { ...vmi.metadata, annotations } }
}
