import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { mapErrors } from '#apis/meta/labels.ts'
import type { FieldError, ObjectMeta } from '#apis/meta/object.ts'
import { sameJson } from '#base/json.ts'
import { nodeNameLabel } from '../access/node.ts'
import { migrationJobLabel, targetNodeLabel } from '../migration/labels.ts'
import { instanceOf } from '../vm/instance.ts'
import { launcherPod } from '../vm/launcher.ts'

/** The group of Patchbay's own components. */
export const systemGroup = 'patchbay:system'

/** Labels of an instance that the controllers write and that other components rely on (KubeVirt). */
export const reservedLabels = ['kubevirt.io/created-by', migrationJobLabel, targetNodeLabel, nodeNameLabel]

/**
 * Longest name of a VM or an instance: it is used as a label value and, with its namespace, as the name of a domain and of its
 * files.
 */
const maxNameLength = 63

/** The errors in the name of a VM or an instance. */
export function nameErrors({ name }: ObjectMeta): FieldError[] {
  if (name.length <= maxNameLength) return []
  return [
    {
      field: 'metadata.name',
      message: `name must be no more than ${maxNameLength} characters: it becomes the name of a libvirt domain`,
      reason: 'FieldValueInvalid',
    },
  ]
}

/** The errors in the labels that the pods of an instance would have. */
export function podLabelErrors(vmi: VirtualMachineInstance, at: string): FieldError[] {
  const place = { nodeName: '', user: undefined }
  const { labels } = launcherPod(vmi, place, { uid: vmi.metadata.uid ?? '', name: '' }).metadata
  return mapErrors(at, 'labels', labels)
}

/** Refuses labels that only the controllers may write. */
export function reservedError(field: string, verb: 'creation' | 'modification'): FieldError {
  const message = `${verb} of the following reserved kubevirt.io/ labels on a VMI object is prohibited: ${reservedLabels.join(', ')}`
  return { field, message, reason: 'FieldValueNotSupported' }
}

/**
 * All errors in the names and labels of a VM's instance: checked at admission of the VM as for an instance that its owner
 * creates, since the controller that creates the instance has no user to report them to. Values that are stored already do not
 * prevent other changes.
 */
export function templateErrors(
  vm: VirtualMachine,
  old: VirtualMachine | undefined,
  user: Readonly<{ groups: readonly string[] }>,
): FieldError[] {
  const made = instanceOf(vm)
  if (old && sameJson(madeOf(instanceOf(old)), madeOf(made))) return []
  const at = 'spec.template.metadata'
  const { labels, annotations } = made.metadata
  const isReserved = !user.groups.includes(systemGroup) && reservedLabels.some((label) => labels?.[label] !== undefined)
  const errors = [...mapErrors(at, 'labels', labels), ...mapErrors(at, 'annotations', annotations)]
  return [
    ...(isReserved ? [reservedError(`${at}.labels`, 'creation')] : []),
    // The name, which is a label too, has its own rule.
    ...(errors.length || nameErrors(vm.metadata).length ? errors : podLabelErrors(made, at)),
  ]
}

function madeOf({ metadata }: VirtualMachineInstance) {
  return [metadata.labels ?? {}, metadata.annotations ?? {}]
}
