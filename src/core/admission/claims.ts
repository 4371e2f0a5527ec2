import { PersistentVolumeClaim } from '#apis/core/persistentvolumeclaim.ts'
import { dnsSubdomain, nameProblems } from '#apis/meta/names.ts'
import { type FieldError, invalidValue } from '#apis/meta/object.ts'
import { parseQuantity } from '#apis/meta/quantity.ts'
import type { StorageClass } from '#apis/storage/storageclass.ts'
import { sameJson } from '#base/json.ts'
import { isBlock } from '../disk/claims.ts'
import { refusedErrors } from './refused.ts'

const accessModes = ['ReadOnlyMany', 'ReadWriteMany', 'ReadWriteOnce', 'ReadWriteOncePod']

type Spec = PersistentVolumeClaim['spec']

/** All errors of a claim, in Kubernetes' words where it refuses the same. The controller that binds claims is not judged. */
export function claimErrors(
  claim: PersistentVolumeClaim,
  old: PersistentVolumeClaim | undefined,
  isSystem: boolean,
): FieldError[] {
  if (old) return isSystem ? [] : changeErrors(claim, old)
  const { spec } = claim
  return [
    ...accessModeErrors(spec.accessModes, 'spec'),
    ...sizeErrors(spec.resources?.requests?.storage, 'spec'),
    ...volumeModeErrors(spec, 'spec'),
    ...classErrors(spec.storageClassName, 'spec'),
    ...(spec.volumeName !== undefined
      ? [
          forbidden(
            'spec.volumeName',
            'volumes are made for their claims, and have no objects of their own; leave it out',
          ),
        ]
      : []),
    ...refusedErrors(PersistentVolumeClaim, spec),
  ]
}

/** A spec stays as it is; its size could grow where the class of storage allows it, which none here does. */
function changeErrors({ metadata, spec }: PersistentVolumeClaim, old: PersistentVolumeClaim): FieldError[] {
  if (sameJson(spec, old.spec)) return []
  const sizeOf = ({ resources }: Spec) => parseQuantity(resources?.requests?.storage)?.milli ?? 0n
  const rest = ({ resources: _, ...others }: Spec) => others
  const errors: FieldError[] = []
  if (!sameJson(rest(spec), rest(old.spec)))
    errors.push(
      forbidden(
        'spec',
        'spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims',
      ),
    )
  if (sizeOf(spec) < sizeOf(old.spec))
    errors.push(forbidden('spec.resources.requests.storage', 'field can not be less than status.capacity'))
  if (sizeOf(spec) > sizeOf(old.spec))
    errors.push(
      forbidden(
        'spec.resources.requests.storage',
        `only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize: class "${spec.storageClassName}" does not; clone ${metadata.name} into a larger claim by a DataVolume`,
      ),
    )
  return errors
}

export function accessModeErrors(modes: Spec['accessModes'], at: string): FieldError[] {
  const field = `${at}.accessModes`
  if (!modes?.length)
    return [{ field, message: 'Required value: at least 1 access mode is required', reason: 'FieldValueRequired' }]
  const supported = accessModes.map((mode) => JSON.stringify(mode)).join(', ')
  return [
    ...modes
      .filter((mode) => !accessModes.includes(mode))
      .map(
        (mode): FieldError => ({
          field,
          message: `Unsupported value: ${JSON.stringify(mode)}: supported values: ${supported}`,
          reason: 'FieldValueNotSupported',
        }),
      ),
    ...(modes.includes('ReadWriteOncePod') && modes.length > 1
      ? [forbidden(field, 'may not use ReadWriteOncePod with other access modes')]
      : []),
  ]
}

function sizeErrors(size: string | number | undefined, at: string): FieldError[] {
  const field = `${at}.resources[storage]`
  if (size === undefined) return [{ field, message: 'Required value', reason: 'FieldValueRequired' }]
  return (parseQuantity(size)?.milli ?? 0n) > 0n
    ? []
    : [invalidValue(field, `Invalid value: ${JSON.stringify(String(size))}: must be greater than zero`)]
}

export function volumeModeErrors(spec: Spec, at: string): FieldError[] {
  const { volumeMode = 'Filesystem' } = spec
  const field = `${at}.volumeMode`
  if (isBlock(spec))
    return [forbidden(field, 'there are no block devices; use volumeMode: Filesystem, a guest sees a disk either way')]
  return volumeMode === 'Filesystem'
    ? []
    : [
        {
          field,
          message: `Unsupported value: ${JSON.stringify(volumeMode)}: supported values: "Block", "Filesystem"`,
          reason: 'FieldValueNotSupported',
        },
      ]
}

export function classErrors(name: string | undefined, at: string): FieldError[] {
  if (!name) return []
  const field = `${at}.storageClassName`
  return nameProblems(name, dnsSubdomain).map((problem) =>
    invalidValue(field, `Invalid value: ${JSON.stringify(name)}: ${problem}`),
  )
}

function forbidden(field: string, message: string): FieldError {
  return { field, message: `Forbidden: ${message}`, reason: 'FieldValueForbidden' }
}

/** A class as it is stored: with Kubernetes' defaults. */
export function classWithDefaults(one: StorageClass): StorageClass {
  return {
    ...one,
    reclaimPolicy: one.reclaimPolicy ?? 'Delete',
    volumeBindingMode: one.volumeBindingMode ?? 'Immediate',
  }
}

/** All errors of a class of storage, in Kubernetes' words. */
export function storageClassErrors(one: StorageClass, old: StorageClass | undefined): FieldError[] {
  const { provisioner, reclaimPolicy = '', volumeBindingMode = '' } = one
  const only = (field: string, value: string, values: readonly string[]): FieldError[] =>
    values.includes(value)
      ? []
      : [
          {
            field,
            message: `Unsupported value: ${JSON.stringify(value)}: supported values: ${values.map((each) => JSON.stringify(each)).join(', ')}`,
            reason: 'FieldValueNotSupported',
          },
        ]
  return [
    ...(provisioner
      ? []
      : [{ field: 'provisioner', message: 'Required value', reason: 'FieldValueRequired' } as const]),
    ...only('reclaimPolicy', reclaimPolicy, ['Delete', 'Retain']),
    ...only('volumeBindingMode', volumeBindingMode, ['Immediate', 'WaitForFirstConsumer']),
    ...(old && (old.provisioner !== provisioner || !sameJson(old.parameters ?? {}, one.parameters ?? {}))
      ? [forbidden('parameters', 'updates to provisioner and parameters are forbidden.')]
      : []),
  ]
}
