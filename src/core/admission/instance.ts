import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { FieldError } from '#apis/meta/object.ts'
import { sameJson } from '#base/json.ts'
import { bootErrors } from './boot.ts'
import { clusterConfig } from './config.ts'
import { diskErrors } from './disks.ts'
import { dnsErrors } from './dns.ts'
import { hardwareErrors } from './hardware.ts'
import { changedVolumeErrors } from './hotplug.ts'
import { interfaceErrors } from './interfaces.ts'
import { macErrors } from './macs.ts'
import { probeErrors } from './probes.ts'
import { nameErrors, podLabelErrors, reservedError, reservedLabels, systemGroup } from './template.ts'
import type { AdmissionWorld } from './vm.ts'
import { volumeErrors } from './volumes.ts'

type Writer = Readonly<{ groups: readonly string[] }>

/** All errors of an instance. Owners edit the VM: only the controllers change the spec of an instance. */
export function instanceErrors(
  vmi: VirtualMachineInstance,
  old: VirtualMachineInstance | undefined,
  user: Writer,
  { config, holderOf }: AdmissionWorld = { config: clusterConfig(), holderOf: () => undefined },
): FieldError[] {
  const errors: FieldError[] = old
    ? changedVolumeErrors(vmi.spec, old.spec)
    : [
        ...nameErrors(vmi.metadata),
        ...(nameErrors(vmi.metadata).length ? [] : podLabelErrors(vmi, 'metadata')),
        ...interfaceErrors(vmi.spec, 'spec', { config }),
        ...macErrors(vmi.spec, undefined, 'spec', holderOf),
        ...probeErrors(vmi.spec, 'spec'),
        ...bootErrors(vmi.spec, 'spec'),
        ...diskErrors(vmi.spec, 'spec'),
        ...volumeErrors(vmi.spec, 'spec', config),
        ...hardwareErrors(vmi.spec, 'spec'),
        ...dnsErrors(vmi.spec, 'spec'),
      ]
  if (user.groups.includes(systemGroup)) return errors
  if (old && !sameJson(old.spec, vmi.spec))
    errors.push({ field: 'spec', message: 'update of VMI object is restricted', reason: 'FieldValueForbidden' })
  if (reservedLabels.some((label) => vmi.metadata.labels?.[label] !== old?.metadata.labels?.[label]))
    errors.push(reservedError('metadata.labels', old ? 'modification' : 'creation'))
  return errors
}
