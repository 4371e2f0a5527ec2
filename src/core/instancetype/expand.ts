import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { type FieldError, invalidValue } from '#apis/meta/object.ts'
import { parseQuantity } from '#apis/meta/quantity.ts'
import { sameJson } from '#base/json.ts'
import { withDiskDefaults, withDisksOfVolumes } from '../disk/defaults.ts'
import { vcpusOf } from '../vm/cpu.ts'
import { templateMetadata } from '../vm/instance.ts'
import { bytesOf, memoryOf } from '../vm/memory.ts'
import { kindOf, namesTypes, type Role, roles, type Types } from './matcher.ts'
import { preferred } from './preferred.ts'
import { conflictsWith, sized } from './size.ts'

/** Where the template's spec is in a VM. */
const at = 'spec.template.spec'

/**
 * The VM as its instance is made from it: with what its instance type decides, and what its preference says where the VM says
 * nothing. The same object when it names neither.
 */
export function expanded(vm: VirtualMachine, { instancetype, preference }: Types): VirtualMachine {
  if (!namesTypes(vm)) return vm
  const { template } = vm.spec
  const whole = withDisksOfVolumes(template.spec)
  const withSize = instancetype ? sized(whole, instancetype, preference) : whole
  const spec = withDiskDefaults(preference ? preferred(withSize, preference) : withSize)
  const metadata = templateMetadata(vm)
  const { annotations: own } = metadata
  const annotations = { ...preference?.annotations, ...instancetype?.annotations, ...own, ...namesOf(vm) }
  return { ...vm, spec: { ...vm.spec, template: { ...template, metadata: { ...metadata, annotations }, spec } } }
}

/** The VM as one that needs neither instance type nor preference: what `expand-spec` answers. */
export function expandedAlone(vm: VirtualMachine, types: Types): VirtualMachine {
  const whole = expanded(vm, types)
  const { instancetype: _, preference: _p, ...spec } = whole.spec
  return { ...whole, spec }
}

/** Annotations of an instance with the names of what its VM names (KubeVirt). */
function namesOf(vm: VirtualMachine): Record<string, string> {
  const entries = roles.flatMap((role): [string, string][] => {
    const matcher = vm.spec[role]
    const kind = matcher && kindOf(role, matcher)
    return kind && matcher.name ? [[`kubevirt.io/${kind.namespaced ? '' : 'cluster-'}${role}-name`, matcher.name]] : []
  })
  return Object.fromEntries(entries)
}

/**
 * Everything wrong with what a VM names, in KubeVirt's words: it does not exist, is contradicted, or is too small. A VM that named
 * it before can still be changed when it is gone, so that it can be stopped and its interfaces changed.
 */
export function typeErrors(vm: VirtualMachine, types: Types, old?: VirtualMachine): FieldError[] {
  const { instancetype, missing } = types
  const isSame = (role: Role) => sameJson(vm.spec[role], old?.spec[role])
  const news = missing.filter(({ role }) => !isSame(role))
  if (news.length)
    return news.map(({ role, why }) => ({ field: `spec.${role}`, message: why, reason: 'FieldValueNotFound' }))
  if (missing.length || (roles.every(isSame) && sameJson(vm.spec.template, old?.spec.template))) return []
  const { spec } = vm.spec.template
  const conflicts = instancetype ? conflictsWith(spec, instancetype).map((path) => `${at}.${path}`) : []
  const [first] = conflicts
  if (first !== undefined)
    return [invalidValue(first, `VM field(s) ${conflicts.join(', ')} conflicts with selected instance type`)]
  return shortages(vm, types)
}

/** What a preference requires and the VM has not. */
function shortages(vm: VirtualMachine, types: Types): FieldError[] {
  const { cpu, memory } = types.preference?.requirements ?? {}
  const { spec } = expanded(vm, types).spec.template
  const by = types.instancetype ? 'instance type' : 'VirtualMachine'
  const field: `spec.${Role}` = types.instancetype ? 'spec.instancetype' : 'spec.preference'
  const errors: FieldError[] = []
  if (cpu && vcpusOf(spec) < cpu.guest)
    errors.push(
      invalidValue(
        field,
        `failure checking preference requirements: insufficient CPU resources of ${vcpusOf(spec)} vCPU provided by ${by}, preference requires ${cpu.guest} vCPU`,
      ),
    )
  const { wanted, bytes = 0 } = memoryOf(spec)
  if (memory && parseQuantity(memory.guest) && bytes < (bytesOf(memory.guest) ?? 0))
    errors.push(
      invalidValue(
        field,
        `failure checking preference requirements: insufficient Memory resources of ${wanted} provided by ${by}, preference requires ${memory.guest}`,
      ),
    )
  return errors
}
