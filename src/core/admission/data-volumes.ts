import { DataVolume, type DataVolumeSource, type DataVolumeSpec } from '#apis/cdi/datavolume.ts'
import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { dnsSubdomain, nameProblems } from '#apis/meta/names.ts'
import { type FieldError, invalidValue } from '#apis/meta/object.ts'
import { parseQuantity } from '#apis/meta/quantity.ts'
import { sameJson } from '#base/json.ts'
import { parseHeader } from '../disk/headers.ts'
import { accessModeErrors, classErrors, volumeModeErrors } from './claims.ts'
import { refusedErrors } from './refused.ts'

/** Whether the user who writes may read a claim, and so copy it, or a DataSource, and so copy what it offers. */
export type MayRead = (kind: 'PersistentVolumeClaim' | 'DataSource', namespace: string, name: string) => boolean

/** Sizes of the digests of checksums in hexadecimal, by algorithm. */
const digestLengths: Readonly<Record<string, number>> = { md5: 32, sha1: 40, sha256: 64, sha512: 128 }

/** All errors of a DataVolume, in CDI's words where it refuses the same. */
export function dataVolumeErrors(dv: DataVolume, old: DataVolume | undefined, mayRead: MayRead): FieldError[] {
  if (old) return sameJson(dv.spec, old.spec) ? [] : [invalidValue('spec', 'Cannot update DataVolume Spec')]
  return specErrors(dv.spec, 'spec', dv.metadata.namespace ?? 'default', mayRead)
}

/** The errors of the templates of a VM's DataVolumes (facts/disks.md §A3). */
export function templateVolumeErrors(
  vm: VirtualMachine,
  old: VirtualMachine | undefined,
  mayRead: MayRead,
): FieldError[] {
  const templates = vm.spec.dataVolumeTemplates ?? []
  const named = new Set((vm.spec.template.spec.volumes ?? []).map(({ dataVolume }) => dataVolume?.name))
  const claimed = new Set(
    (vm.spec.template.spec.volumes ?? []).map(({ persistentVolumeClaim }) => persistentVolumeClaim?.claimName),
  )
  const { namespace = 'default' } = vm.metadata
  return templates.flatMap((template, i) => {
    const at = `spec.dataVolumeTemplates[${i}]`
    const { name = '', namespace: other } = template.metadata ?? {}
    if (
      sameJson(
        old?.spec.dataVolumeTemplates?.find(({ metadata }) => metadata?.name === name),
        template,
      )
    )
      return []
    const twin = templates.findIndex(({ metadata }) => metadata?.name === name)
    return [
      ...(name ? [] : [required(`${at}.name`, `'name' field must not be empty for DataVolumeTemplate entry ${at}.`)]),
      ...(name ? nameProblems(name, dnsSubdomain).map((problem) => invalidValue(`${at}.metadata.name`, problem)) : []),
      ...(name && twin < i
        ? [
            invalidValue(
              `${at}.metadata.name`,
              `spec.dataVolumeTemplates[${twin}] and ${at} must not have the same name`,
            ),
          ]
        : []),
      ...(other && other !== namespace
        ? [invalidValue(at, `Embedded DataVolume namespace ${other} differs from VM namespace ${namespace}`)]
        : []),
      ...(name && !named.has(name) && !claimed.has(name)
        ? [invalidValue(at, `DataVolumeTemplate entry ${at} must be referenced in the VMI template's 'volumes' list`)]
        : []),
      ...specErrors(template.spec, `${at}.spec`, namespace, mayRead),
    ]
  })
}

function specErrors(spec: DataVolumeSpec, at: string, namespace: string, mayRead: MayRead): FieldError[] {
  const { pvc, storage, source, sourceRef, contentType } = spec
  const sources = Object.keys(source ?? {})
  return [
    ...(pvc && storage
      ? [invalidValue(at, 'Duplicate storage definition, both target storage and target pvc defined')]
      : []),
    ...(pvc || storage ? [] : [invalidValue(at, 'Missing Data volume PVC or Storage')]),
    ...formErrors(spec, at),
    ...((source === undefined) !== (sourceRef === undefined)
      ? []
      : [invalidValue(at, 'Data volume should have either Source, SourceRef, or be externally populated')]),
    ...(source && !sources.length ? [invalidValue(`${at}.source`, 'Missing dataVolume valid source')] : []),
    ...(sources.length > 1 ? [invalidValue(`${at}.source`, 'Multiple dataVolume sources')] : []),
    ...(contentType && contentType !== 'kubevirt'
      ? [invalidValue(`${at}.contentType`, `ContentType not one of: [kubevirt]; archives are not unpacked into disks`)]
      : []),
    ...sourceErrors(source ?? {}, `${at}.source`, namespace, mayRead),
    ...(sourceRef ? referenceErrors(sourceRef, `${at}.sourceRef`, namespace, mayRead) : []),
    ...refusedErrors(DataVolume, spec).map((error) => ({
      ...error,
      field: error.field.replace(/^spec/, at),
      message: error.message.replace(/ spec\./, ` ${at}.`),
    })),
  ]
}

function formErrors({ pvc, storage, source, sourceRef }: DataVolumeSpec, at: string): FieldError[] {
  const form = pvc ?? storage
  if (!form) return []
  const path = `${at}.${pvc ? 'pvc' : 'storage'}`
  const size = form.resources?.requests?.storage
  const field = `${path}.resources.requests.storage`
  return [
    // The form `storage` has defaults.
    ...(pvc || form.accessModes ? accessModeErrors(form.accessModes, path) : []),
    ...volumeModeErrors(form, path),
    ...classErrors(form.storageClassName, path),
    // A copy may have the size of what it is copied from.
    ...(size === undefined && !((source?.pvc || sourceRef) && storage) ? [required(field, 'PVC size is missing')] : []),
    ...(size !== undefined && (parseQuantity(size)?.milli ?? 0n) <= 0n
      ? [invalidValue(field, "PVC size can't be equal or less than zero")]
      : []),
    ...(form.volumeName ? [invalidValue(`${path}.volumeName`, 'volumes are made for their claims; leave it out')] : []),
  ]
}

function sourceErrors(
  { http, registry, pvc }: DataVolumeSource,
  at: string,
  namespace: string,
  mayRead: MayRead,
): FieldError[] {
  return [
    ...(http ? urlErrors(http.url, `${at}.http.url`, ['http:', 'https:']) : []),
    ...(http?.extraHeaders ?? []).flatMap((line, i) =>
      parseHeader(line)
        ? []
        : [
            invalidValue(
              `${at}.http.extraHeaders[${i}]`,
              'is no header that can be sent: write it like NAME: VALUE, and no header that a transfer needs itself',
            ),
          ],
    ),
    ...(http?.checksum ? checksumErrors(http.checksum, `${at}.http.checksum`) : []),
    ...(registry ? urlErrors(registry.url ?? '', `${at}.registry.url`, ['docker:']) : []),
    ...(pvc ? cloneErrors({ namespace: pvc.namespace || namespace, name: pvc.name }, `${at}.pvc`, mayRead) : []),
  ]
}

function urlErrors(url: string, field: string, protocols: readonly string[]): FieldError[] {
  const kind = field.includes('.registry.') ? 'registry' : 'source'
  if (!url) return [invalidValue(field, `${kind} URL is empty`)]
  const parsed = URL.parse(url)
  if (!parsed?.host) return [invalidValue(field, `Invalid ${kind} URL: ${url}`)]
  return protocols.includes(parsed.protocol)
    ? []
    : [
        invalidValue(
          field,
          `Invalid ${kind} URL scheme: ${url}; use ${protocols.map((one) => `${one}//`).join(' or ')}`,
        ),
      ]
}

function checksumErrors(checksum: string, field: string): FieldError[] {
  const [algorithm = '', digest = '', ...more] = checksum.toLowerCase().split(':')
  const isGood = digestLengths[algorithm] === digest.length && /^[0-9a-f]+$/.test(digest) && !more.length
  return isGood
    ? []
    : [
        invalidValue(
          field,
          `${JSON.stringify(checksum)} is no checksum; write it like sha256:HEX (or md5, sha1, sha512)`,
        ),
      ]
}

function cloneErrors(
  { namespace, name }: Readonly<{ namespace: string; name: string }>,
  field: string,
  mayRead: MayRead,
): FieldError[] {
  if (!name) return [invalidValue(field, `${field} source name is empty`)]
  if (mayRead('PersistentVolumeClaim', namespace, name)) return []
  const message = `User has insufficient permissions in clone source namespace ${namespace}: a copy of PVC ${name} needs the right to get it`
  return [{ field, message, reason: 'FieldValueForbidden' }]
}

function referenceErrors(
  { kind, namespace, name }: NonNullable<DataVolumeSpec['sourceRef']>,
  at: string,
  own: string,
  mayRead: MayRead,
): FieldError[] {
  const where = namespace || own
  return [
    ...(kind === 'DataSource'
      ? []
      : [invalidValue(`${at}.kind`, `SourceRef kind ${kind} is unsupported; use DataSource`)]),
    ...(name ? [] : [invalidValue(`${at}.name`, `${at}.name must not be empty`)]),
    ...(kind === 'DataSource' && name && !mayRead('DataSource', where, name)
      ? [
          {
            field: at,
            message: `User has insufficient permissions in clone source namespace ${where}: a copy of what DataSource ${name} offers needs the right to get that`,
            reason: 'FieldValueForbidden' as const,
          },
        ]
      : []),
  ]
}

function required(field: string, message: string): FieldError {
  return { field, message, reason: 'FieldValueRequired' }
}
