import type { VirtualMachineInstanceMigration } from '#apis/kubevirt/migration.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { FieldError } from '#apis/meta/object.ts'
import { sameJson } from '#base/json.ts'
import { interfaceErrors } from './interfaces.ts'

/** The group our own controllers and agents belong to. */
export const systemGroup = 'patchbay:system'

type Writer = Readonly<{ groups: readonly string[] }>

/** Everything that forbids an instance. Owners edit the VM: the spec of an instance is changed by the controllers alone. */
export function instanceErrors(
  vmi: VirtualMachineInstance,
  old: VirtualMachineInstance | undefined,
  user: Writer,
): FieldError[] {
  if (old && !user.groups.includes(systemGroup))
    return sameJson(old.spec, vmi.spec)
      ? []
      : [{ field: 'spec', message: 'update of VMI object is restricted', reason: 'FieldValueForbidden' }]
  return old ? [] : interfaceErrors(vmi.spec, 'spec')
}

/** Migration is refused until it works. */
export function migrationErrors(
  migration: VirtualMachineInstanceMigration,
  old: VirtualMachineInstanceMigration | undefined,
): FieldError[] {
  if (old) return []
  if (!migration.spec.vmiName)
    return [{ field: 'spec.vmiName', message: 'vmiName is missing', reason: 'FieldValueRequired' }]
  const message = `Cannot migrate VMI ${migration.spec.vmiName}: this version of Patchbay does not migrate yet; link state changes need no migration`
  return [{ field: 'spec.vmiName', message, reason: 'FieldValueForbidden' }]
}
