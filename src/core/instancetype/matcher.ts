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
import { defaultLabels, type InferWorld, inferredFrom } from './infer.ts'

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

/** Finds an object by its name: the one of a namespace, or without any that of the cluster. */
type Find<T> = (key: Readonly<{ namespace?: string; name: string }>) => T | undefined

export type LookUps = Readonly<{
  instancetype: Find<Pick<VirtualMachineInstancetype, 'spec'>>
  preference: Find<Pick<VirtualMachinePreference, 'spec'>>
}>

/** What a VM names, by looking it up. */
export function findTypes(vm: VirtualMachine, lookUps: LookUps): Types {
  if (!namesTypes(vm)) return noTypes
  const missing: Types['missing'][number][] = []
  const found = <T>(role: Role, find: Find<T>): T | undefined => {
    const matcher = vm.spec[role]
    if (!matcher) return undefined
    const kind = kindOf(role, matcher)
    const { name = '' } = matcher
    const { namespace } = vm.metadata
    const key = kind?.namespaced && namespace !== undefined ? { namespace, name } : { name }
    const one = kind && name ? find(key) : undefined
    if (!one) missing.push({ role, why: whyMissing(role, matcher, kind) })
    return one
  }
  const instancetype = found('instancetype', lookUps.instancetype)
  const preference = found('preference', lookUps.preference)
  return {
    ...(instancetype && { instancetype: instancetype.spec }),
    ...(preference && { preference: preference.spec ?? {} }),
    missing,
  }
}

function whyMissing(role: Role, { name, kind: word, inferFromVolume }: Matcher, kind: Kind | undefined): string {
  if (inferFromVolume !== undefined)
    return `Failure to find ${role}: volume ${inferFromVolume}, and what it is a copy of, has no label ${defaultLabels(role).name}; set it, or spec.${role}.name, for example ${role === 'instancetype' ? 'u1.small' : 'fedora'}`
  if (!kind) return `Failure to find ${role}: got unexpected kind in matcher: ${word}`
  return `Failure to find ${role}: ${kind.plural}.${kind.group} "${name ?? ''}" not found`
}

/**
 * The VM with the kinds of what it names, and with the names of what is to be inferred from a volume. What cannot be is dropped, where
 * the VM says so, and left for validation to refuse elsewhere. This runs before validation.
 */
export function withMatcherDefaults(vm: VirtualMachine, world: InferWorld): VirtualMachine {
  if (!isObject(vm.spec) || !namesTypes(vm)) return vm
  const { instancetype, preference, ...spec } = vm.spec
  const infer = (role: Role) => (volume: string) => inferredFrom(vm, volume, role, world)
  const all = {
    ...spec,
    ...named('instancetype', instancetype, infer('instancetype')),
    ...named('preference', preference, infer('preference')),
  }
  return { ...vm, spec: all }
}

function named(
  role: Role,
  matcher: Matcher | undefined,
  infer: (volume: string) => Matcher | undefined,
): Partial<Record<Role, Matcher>> {
  if (!isObject(matcher)) return matcher === undefined ? {} : { [role]: matcher }
  const { inferFromVolume, inferFromVolumeFailurePolicy, ...own } = matcher
  const withKind = (one: Matcher) => ({ [role]: one.kind ? one : { ...one, kind: kinds[role][0].singular } })
  if (inferFromVolume === undefined) return withKind(matcher)
  const found = infer(inferFromVolume) ?? (own.name === undefined ? undefined : own)
  if (found) return withKind(found)
  return inferFromVolumeFailurePolicy === 'Ignore' ? {} : withKind(matcher)
}
