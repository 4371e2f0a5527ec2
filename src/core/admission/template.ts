import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { mapErrors } from '#apis/meta/labels.ts'
import type { FieldError, ObjectMeta } from '#apis/meta/object.ts'
import { sameJson } from '#base/json.ts'
import { nodeNameLabel } from '../access/node.ts'
import { migrationJobLabel, targetNodeLabel } from '../migration/labels.ts'
import { instanceOf } from '../vm/instance.ts'
import { launcherPod } from '../vm/launcher.ts'

/** The group our own controllers and agents belong to. */
export const systemGroup = 'patchbay:system'

/** Labels of an instance that the controllers write and others rely on (KubeVirt). */
export const reservedLabels = ['kubevirt.io/created-by', migrationJobLabel, targetNodeLabel, nodeNameLabel]

/** Longest name of a VM or an instance: it becomes a label value, and with its namespace the name of a domain and of its files. */
const maxNameLength = 63

/** What is wrong with the name of a VM or of an instance. */
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

/** What is wrong with the labels that the pods of an instance would have. */
export function podLabelErrors(vmi: VirtualMachineInstance, at: string): FieldError[] {
  const place = { nodeName: '', user: undefined }
  const { labels } = launcherPod(vmi, place, { uid: vmi.metadata.uid ?? '', name: '' }).metadata
  return mapErrors(at, 'labels', labels)
}

/** Refusal of labels that only the controllers write. */
export function reservedError(field: string, verb: 'creation' | 'modification'): FieldError {
  const message = `${verb} of the following reserved kubevirt.io/ labels on a VMI object is prohibited: ${reservedLabels.join(', ')}`
  return { field, message, reason: 'FieldValueNotSupported' }
}

/**
 * Everything wrong with what a VM's instance would be called: judged here as it would be in an instance that its owner makes,
 * since the controller that makes it can tell nobody. What is stored already does not keep other changes out.
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
    // The name, which is a label too, is judged by its own rule.
    ...(errors.length || nameErrors(vm.metadata).length ? errors : podLabelErrors(made, at)),
  ]
}

function madeOf({ metadata }: VirtualMachineInstance) {
  return [metadata.labels ?? {}, metadata.annotations ?? {}]
}
