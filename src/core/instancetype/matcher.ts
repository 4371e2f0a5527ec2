import {
  type InstancetypeSpec,
  VirtualMachineClusterInstancetype,
  VirtualMachineInstancetype,
} from '#apis/instancetype/instancetype.ts'
import {
  type PreferenceSpec,
  VirtualMachineClusterPreference,
  VirtualMachinePreference,
} from '#apis/instancetype/preference.ts'
import type { Matcher, VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { Kind } from '#apis/meta/object.ts'
import { isObject } from '#base/json.ts'

/** The two things a VM may name. */
export const roles = ['instancetype', 'preference'] as const
export type Role = (typeof roles)[number]

/** The kinds of each; the first is meant when a VM names none. */
const kinds = {
  instancetype: [VirtualMachineClusterInstancetype, VirtualMachineInstancetype],
  preference: [VirtualMachineClusterPreference, VirtualMachinePreference],
} as const satisfies Record<Role, readonly Kind[]>

/** The kind that a VM means, whose name may be in any case, singular or plural (KubeVirt); undefined for any other word. */
export function kindOf(role: Role, { kind }: Matcher): (typeof kinds)[Role][number] | undefined {
  const word = (kind || kinds[role][0].singular).toLowerCase()
  return kinds[role].find(({ singular, plural }) => word === singular || word === plural)
}

/** What a VM names, and what was found of it. */
export type Types = Readonly<{
  instancetype?: InstancetypeSpec
  preference?: PreferenceSpec
  /** What was not found, in KubeVirt's words. */
  missing: readonly Readonly<{ role: Role; why: string }>[]
}>

/** Finds what a VM names. */
export type FindTypes = (vm: VirtualMachine) => Types

/** The types of a VM without any. */
export const noTypes: Types = { missing: [] }

/** Whether a VM names an instance type or a preference. */
export function namesTypes({ spec }: VirtualMachine): boolean {
  return spec.instancetype !== undefined || spec.preference !== undefined
}

/** What is in the store under the kind, namespace and name of a reference. */
export type LookUp = (kind: Kind, namespace: string | undefined, name: string) => unknown

/** What a VM names, by looking it up. */
export function findTypes(vm: VirtualMachine, lookUp: LookUp): Types {
  if (!namesTypes(vm)) return noTypes
  const missing: Types['missing'][number][] = []
  const specOf = (role: Role): unknown => {
    const matcher = vm.spec[role]
    if (!matcher) return undefined
    const kind = kindOf(role, matcher)
    const { name = '' } = matcher
    const found = kind && name ? lookUp(kind, kind.namespaced ? vm.metadata.namespace : undefined, name) : undefined
    if (isObject(found)) return found.spec ?? {}
    missing.push({ role, why: whyMissing(role, matcher, kind) })
    return undefined
  }
  const instancetype = specOf('instancetype') as InstancetypeSpec | undefined
  const preference = specOf('preference') as PreferenceSpec | undefined
  return { ...(instancetype && { instancetype }), ...(preference && { preference }), missing }
}

function whyMissing(role: Role, { name, kind: word, inferFromVolume }: Matcher, kind: Kind | undefined): string {
  if (inferFromVolume !== undefined)
    return `Failure to find ${role}: it is not inferred from volumes; set spec.${role}.name, for example ${role === 'instancetype' ? 'u1.small' : 'fedora'}`
  if (!kind) return `Failure to find ${role}: got unexpected kind in matcher: ${word}`
  return `Failure to find ${role}: ${kind.plural}.${kind.group} "${name ?? ''}" not found`
}

/**
 * The VM with the kinds of what it names, and without what is to be inferred from a volume if it can be: nothing can (KubeVirt
 * ignores such a failure as well, where the VM says so). This runs before validation.
 */
export function withMatcherDefaults(vm: VirtualMachine): VirtualMachine {
  if (!isObject(vm.spec) || !namesTypes(vm)) return vm
  const spec: Record<string, unknown> = { ...vm.spec }
  for (const role of roles) {
    const matcher = vm.spec[role]
    if (!isObject(matcher)) continue
    if (matcher.inferFromVolume !== undefined && matcher.inferFromVolumeFailurePolicy === 'Ignore') delete spec[role]
    else if (!matcher.kind) spec[role] = { ...matcher, kind: kinds[role][0].singular }
  }
  return { ...vm, spec: spec as VirtualMachine['spec'] }
}
