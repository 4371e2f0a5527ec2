import type { CloudInit, Volume } from '#apis/kubevirt/disk.ts'
import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import { dnsLabel, nameProblems } from '#apis/meta/names.ts'
import { type FieldError, invalidValue } from '#apis/meta/object.ts'
import { decodeBase64 } from '#base/base64.ts'
import { bytesOf } from '../vm/memory.ts'
import type { ClusterConfig } from './config.ts'

/** KubeVirt's limits: number of volumes, and of the bytes of inline cloud-init data. */
const maxVolumes = 256
const maxInline = 2048
/** Smallest disk, bytes: sizes are rounded to it. */
const alignment = 2 ** 20

const pullPolicies = ['Always', 'IfNotPresent', 'Never']

/** All errors in the volumes of a spec, in KubeVirt's words (facts/disks.md §A3). `path` is the path of the spec in the object. */
export function volumeErrors(spec: VmiSpec, path: string, { hasGate }: Pick<ClusterConfig, 'hasGate'>): FieldError[] {
  const volumes = spec.volumes ?? []
  const at = `${path}.volumes`
  if (volumes.length > maxVolumes)
    return [invalidValue(at, `${at} list exceeds the ${maxVolumes} element limit in length`)]
  const accounts = volumes.filter(({ serviceAccount }) => serviceAccount)
  return [
    ...volumes.flatMap((one, i) => [
      ...nameErrors(one.name, i, volumes, at),
      ...sourceErrors(one, `${at}[${i}]`),
      ...imageErrors(one, `${at}[${i}]`),
      ...cloudInitErrors(one.cloudInitNoCloud, `${at}[${i}].cloudInitNoCloud`),
      ...cloudInitErrors(one.cloudInitConfigDrive, `${at}[${i}].cloudInitConfigDrive`),
      ...hostDiskErrors(one, `${at}[${i}]`, hasGate('HostDisk')),
      ...namedErrors(one, `${at}[${i}]`),
    ]),
    ...(accounts.length > 1 ? [invalidValue(at, `${at} must have max one serviceAccount volume set`)] : []),
  ]
}

function nameErrors(name: string, index: number, all: readonly Volume[], at: string): FieldError[] {
  const field = `${at}[${index}].name`
  const twin = all.findIndex((other) => other.name === name)
  return [
    ...(twin < index ? [invalidValue(field, `${at}[${twin}] and ${at}[${index}] must not have the same Name.`)] : []),
    ...nameProblems(name, dnsLabel).map((problem) => invalidValue(field, problem)),
  ]
}

function sourceErrors({ name: _, ...sources }: Volume, field: string): FieldError[] {
  const number = Object.values(sources).filter((source) => source !== undefined).length
  return number === 1 ? [] : [invalidValue(field, `${field} must have exactly one source type set`)]
}

function imageErrors({ containerDisk, emptyDisk, ephemeral }: Volume, field: string): FieldError[] {
  const errors: FieldError[] = []
  if (containerDisk) {
    const { image, path, imagePullPolicy } = containerDisk
    const at = `${field}.containerDisk`
    if (!image) errors.push(required(`${at}.image`, `${at}.image must be set`))
    if (path === '/') errors.push(invalidValue(`${at}.path`, `${at}.path must not point to root`))
    else if (path && (!path.startsWith('/') || path.split('/').some((part) => part === '..' || part === '.')))
      errors.push(
        invalidValue(`${at}.path`, `${at}.path must be an absolute path to a file without relative components`),
      )
    if (imagePullPolicy && !pullPolicies.includes(imagePullPolicy))
      errors.push({
        field: `${at}.imagePullPolicy`,
        message: `Unsupported value: "${imagePullPolicy}": supported values: "Always", "IfNotPresent", "Never"`,
        reason: 'FieldValueNotSupported',
      })
  }
  if (emptyDisk && (bytesOf(emptyDisk.capacity) ?? 0) < alignment)
    errors.push(
      invalidValue(`${field}.emptyDisk.capacity`, `the size for volume ${field} is too low: it must be at least 1Mi`),
    )
  if (ephemeral && !ephemeral.persistentVolumeClaim)
    errors.push(
      required(`${field}.ephemeral.persistentVolumeClaim`, `${field}.ephemeral must have a persistentVolumeClaim`),
    )
  return errors
}

function cloudInitErrors(data: CloudInit | undefined, at: string): FieldError[] {
  if (!data) return []
  const { secretRef, userDataBase64, userData, networkDataSecretRef, networkDataBase64, networkData } = data
  const users = [secretRef, userDataBase64, userData].filter(Boolean).length
  const networks = [networkDataSecretRef, networkDataBase64, networkData].filter(Boolean).length
  const errors: FieldError[] = []
  if (users > 1) errors.push(invalidValue(at, `${at} must have only one userdatasource set.`))
  if (networks > 1) errors.push(invalidValue(at, `${at} must have only one networkdata source set.`))
  if (!users && !networks)
    errors.push(invalidValue(at, `${at} must have at least one userdatasource or one networkdatasource set.`))
  const inline = [
    ['userDataBase64', 'userdata', 'UserDataSecretRef', userDataBase64 && decodeBase64(userDataBase64)],
    ['userData', 'userdata', 'UserDataSecretRef', userData && new TextEncoder().encode(userData)],
    ['networkDataBase64', 'networkdata', 'NetworkDataSecretRef', networkDataBase64 && decodeBase64(networkDataBase64)],
    ['networkData', 'networkdata', 'NetworkDataSecretRef', networkData && new TextEncoder().encode(networkData)],
  ] as const
  for (const [field, what, instead, bytes] of inline) {
    const isBad = field.endsWith('Base64') && data[field] && bytes === undefined
    if (isBad) errors.push(invalidValue(`${at}.${field}`, `${at}.${field} is not a valid base64 value.`))
    else if (bytes && bytes.length > maxInline)
      errors.push(
        invalidValue(
          `${at}.${field}`,
          `${at} ${what} exceeds ${maxInline} byte limit. Should use ${instead} for larger data.`,
        ),
      )
  }
  return errors
}

function hostDiskErrors({ hostDisk }: Volume, field: string, isOpen: boolean): FieldError[] {
  if (!hostDisk) return []
  const at = `${field}.hostDisk`
  const { path, type, capacity } = hostDisk
  const errors: FieldError[] = []
  if (!isOpen) errors.push(invalidValue(field, 'HostDisk feature gate is not enabled'))
  if (!path)
    errors.push({
      field: `${at}.path`,
      message: `${at}.path is required for hostDisk volume`,
      reason: 'FieldValueNotFound',
    })
  else if (!path.startsWith('/') || path.split('/').some((part) => part === '..' || part === '.'))
    errors.push(invalidValue(`${at}.path`, `${at}.path must be an absolute path to a file without relative components`))
  if (type !== 'Disk' && type !== 'DiskOrCreate')
    errors.push(
      invalidValue(`${at}.type`, `${at}.type has invalid value '${type}', allowed are 'Disk' or 'DiskOrCreate'`),
    )
  if (type !== 'DiskOrCreate' && capacity !== undefined)
    errors.push(
      invalidValue(`${at}.capacity`, `${at}.capacity is allowed to pass only with ${at}.type equal to 'DiskOrCreate'`),
    )
  if (type === 'DiskOrCreate' && (bytesOf(capacity) ?? 0) < alignment)
    errors.push(invalidValue(`${at}.capacity`, `${at}.capacity must be at least 1Mi for type 'DiskOrCreate'`))
  return errors
}

/** Volumes that name an object. */
function namedErrors(one: Volume, field: string): FieldError[] {
  const { configMap, secret, serviceAccount, dataVolume, persistentVolumeClaim, sysprep } = one
  const errors: FieldError[] = []
  const need = (what: string, name: string | undefined, message: string) => {
    if (!name) errors.push(required(`${field}.${what}`, message))
  }
  if (configMap) need('configMap.name', configMap.name, `${field}.configMap.name is a required field`)
  if (secret) need('secret.secretName', secret.secretName, `${field}.secret.secretName is a required field`)
  if (serviceAccount)
    need(
      'serviceAccount.serviceAccountName',
      serviceAccount.serviceAccountName,
      `${field}.serviceAccount.serviceAccountName is a required field`,
    )
  if (dataVolume) need('dataVolume.name', dataVolume.name, "DataVolume 'name' must be set")
  if (persistentVolumeClaim)
    need(
      'persistentVolumeClaim.claimName',
      persistentVolumeClaim.claimName,
      "PersistentVolumeClaim 'claimName' must be set",
    )
  if (sysprep && (sysprep.secret ? 1 : 0) + (sysprep.configMap ? 1 : 0) !== 1)
    errors.push(
      invalidValue(`${field}.sysprep`, `${field} must have either a Secret or a ConfigMap set as the Sysprep source`),
    )
  return errors
}

function required(field: string, message: string): FieldError {
  return { field, message, reason: 'FieldValueRequired' }
}
