import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { FieldError } from '#apis/meta/object.ts'
import { sameJson } from '#base/json.ts'
import { nodeNameLabel } from '../access/node.ts'
import { migrationJobLabel, targetNodeLabel } from '../migration/labels.ts'
import { bootErrors } from './boot.ts'
import { clusterConfig } from './config.ts'
import { interfaceErrors } from './interfaces.ts'
import { macErrors } from './macs.ts'
import { probeErrors } from './probes.ts'
import type { AdmissionWorld } from './vm.ts'

/** The group our own controllers and agents belong to. */
export const systemGroup = 'patchbay:system'

/** Labels of an instance that the controllers write and others rely on (KubeVirt). */
const reservedLabels = ['kubevirt.io/created-by', migrationJobLabel, targetNodeLabel, nodeNameLabel]

type Writer = Readonly<{ groups: readonly string[] }>

/** Everything that forbids an instance. Owners edit the VM: the spec of an instance is changed by the controllers alone. */
export function instanceErrors(
  vmi: VirtualMachineInstance,
  old: VirtualMachineInstance | undefined,
  user: Writer,
  { config, holderOf }: AdmissionWorld = { config: clusterConfig(), holderOf: () => undefined },
): FieldError[] {
  const errors: FieldError[] = old
    ? []
    : [
        ...interfaceErrors(vmi.spec, 'spec', { config }),
        ...macErrors(vmi.spec, undefined, 'spec', holderOf),
        ...probeErrors(vmi.spec, 'spec'),
        ...bootErrors(vmi.spec, 'spec'),
      ]
  if (user.groups.includes(systemGroup)) return errors
  if (old && !sameJson(old.spec, vmi.spec))
    errors.push({ field: 'spec', message: 'update of VMI object is restricted', reason: 'FieldValueForbidden' })
  if (reservedLabels.some((label) => vmi.metadata.labels?.[label] !== old?.metadata.labels?.[label]))
    errors.push({
      field: 'metadata.labels',
      message: `${old ? 'modification' : 'creation'} of the following reserved kubevirt.io/ labels on a VMI object is prohibited: ${reservedLabels.join(', ')}`,
      reason: 'FieldValueNotSupported',
    })
  return errors
}
