import { type Disk, diskBuses } from '#apis/kubevirt/disk.ts'
import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import { dnsLabel, nameProblems } from '#apis/meta/names.ts'
import { type FieldError, invalidValue } from '#apis/meta/object.ts'
import { busOf } from '../disk/disk.ts'
import { pciPattern } from './addresses.ts'

/** KubeVirt's limit. */
const maxDisks = 256
const maxSerial = 256
/** Sizes of blocks that QEMU supports, bytes. */
const minBlock = 512
const maxBlock = 2 ** 21

const caches = ['none', 'writethrough', 'writeback']
const errorPolicies = ['stop', 'ignore', 'report', 'enospace']

/** All errors in the disks of a spec, in KubeVirt's words (facts/disks.md §A3). `path` is the path of the spec in the object. */
export function diskErrors(spec: VmiSpec, path: string): FieldError[] {
  const disks = spec.domain.devices.disks ?? []
  const at = `${path}.domain.devices.disks`
  const volumes = new Set((spec.volumes ?? []).map(({ name }) => name))
  if (disks.length > maxDisks) return [invalidValue(at, `${at} list exceeds the ${maxDisks} element limit in length`)]
  return disks.flatMap((one, i) => [
    ...pairErrors(one, i, disks, { at, volumes }),
    ...targetErrors(one, `${at}[${i}]`),
    ...deviceErrors(one, `${at}[${i}]`),
    ...ioErrors(one, `${at}[${i}]`),
  ])
}

function pairErrors(
  { name, cdrom }: Disk,
  index: number,
  all: readonly Disk[],
  { at, volumes }: Readonly<{ at: string; volumes: ReadonlySet<string> }>,
): FieldError[] {
  const field = `${at}[${index}]`
  const twin = all.findIndex((other) => other.name === name)
  const problems = nameProblems(name, dnsLabel)
  return [
    // A CD-ROM may be empty.
    ...(volumes.has(name) || cdrom ? [] : [invalidValue(`${field}.name`, `${field}.Name '${name}' not found.`)]),
    ...(twin < index
      ? [invalidValue(`${field}.name`, `${at}[${twin}] and ${field} must not have the same Name.`)]
      : []),
    ...problems.map((problem) => invalidValue(`${field}.name`, problem)),
  ]
}

function targetErrors(one: Disk, field: string): FieldError[] {
  const targets = (['disk', 'lun', 'cdrom'] as const).filter((target) => one[target])
  if (targets.length > 1) return [invalidValue(field, `${field} can only have a single target type defined`)]
  const [target = 'disk'] = targets
  const bus = busOf(one)
  const at = `${field}.${target}.bus`
  const bad = (message: string) => [invalidValue(at, message)]
  if ((bus as string) === 'ide') return bad('IDE bus is not supported')
  if (!diskBuses.includes(bus))
    return bad(`${field} is set with an unrecognized bus ${bus}, must be one of: [virtio scsi sata usb]`)
  if (target === 'cdrom' && bus === 'virtio') return bad('Bus type virtio is invalid for CD-ROM device')
  if (bus === 'sata' && one.disk?.readonly)
    return [invalidValue(`${field}.disk.readonly`, 'sata hard-disks do not support read-only.')]
  if (one.lun)
    return [
      invalidValue(`${field}.lun`, `${field}.lun can only be mapped to a DataVolume or PersistentVolumeClaim volume.`),
    ]
  const tray = one.cdrom?.tray
  if (tray !== undefined && tray !== 'open' && tray !== 'closed')
    return [
      invalidValue(`${field}.cdrom.tray`, `${field}.cdrom.tray has invalid value ${tray}: must be open or closed`),
    ]
  return []
}

function deviceErrors(one: Disk, field: string): FieldError[] {
  const { serial, disk, dedicatedIOThread } = one
  const bus = busOf(one)
  const errors: FieldError[] = []
  if (serial !== undefined && !/^[A-Za-z0-9_.+-]+$/.test(serial))
    errors.push(
      invalidValue(
        `${field}.serial`,
        `${field}.serial must be made up of the following characters [A-Za-z0-9_.+-], if specified`,
      ),
    )
  if (serial !== undefined && serial.length > maxSerial)
    errors.push(
      invalidValue(
        `${field}.serial`,
        `${field}.serial must be less than or equal to ${maxSerial} in length, if specified`,
      ),
    )
  const address = disk?.pciAddress
  if (address && bus !== 'virtio')
    errors.push(
      invalidValue(
        `${field}.disk.pciAddress`,
        `disk ${field} - setting a PCI address is only possible with bus type virtio.`,
      ),
    )
  else if (address && !pciPattern.test(address))
    errors.push(invalidValue(`${field}.disk.pciAddress`, `disk ${field} has malformed PCI address (${address}).`))
  if (dedicatedIOThread && bus !== 'virtio')
    errors.push({
      field: `${field}.dedicatedIOThread`,
      message: `IOThreads are not supported for disks on a ${bus} bus`,
      reason: 'FieldValueNotSupported',
    })
  return errors
}

function ioErrors(one: Disk, field: string): FieldError[] {
  const { cache, io, errorPolicy } = one
  const errors: FieldError[] = []
  if (cache !== undefined && !caches.includes(cache))
    errors.push(invalidValue(`${field}.cache`, `${field}.cache has invalid value ${cache}`))
  if (io !== undefined && io !== 'native' && io !== 'threads')
    errors.push({
      field: `${field}.io`,
      message: `Disk IO mode for ${field} is not supported. Supported modes are: native, threads.`,
      reason: 'FieldValueNotSupported',
    })
  if (io === 'native' && cache !== 'none' && cache !== undefined)
    errors.push(invalidValue(`${field}.io`, `${field}.io native needs cache none, and the cache is ${cache}`))
  if (one.shareable && cache !== undefined && cache !== 'none')
    errors.push(invalidValue(`${field}.cache`, `${field}.cache must be none for a shareable disk, and is ${cache}`))
  if (errorPolicy !== undefined && !errorPolicies.includes(errorPolicy))
    errors.push(invalidValue(`${field}.errorPolicy`, `${field}.errorPolicy has invalid value "${errorPolicy}"`))
  return [...errors, ...blockErrors(one, field)]
}

function blockErrors(one: Disk, field: string): FieldError[] {
  const { custom, matchVolume } = one.blockSize ?? {}
  const at = `${field}.blockSize`
  if (!custom) return []
  if (matchVolume && matchVolume.enabled !== false)
    return [invalidValue(at, "Block size matching can't be enabled together with a custom value")]
  const { logical, physical } = custom
  const errors: FieldError[] = []
  if (logical > physical)
    errors.push(
      invalidValue(
        `${at}.custom.logical`,
        `Logical size ${logical} must be the same or less than the physical size of ${physical}`,
      ),
    )
  for (const [name, size] of [
    ['logical', logical],
    ['physical', physical],
  ] as const)
    if (size < minBlock || size > maxBlock || !Number.isInteger(Math.log2(size)))
      errors.push(
        invalidValue(
          `${at}.custom.${name}`,
          `Provided size of ${size} is not supported; it must be a power of 2 from ${minBlock} to ${maxBlock}`,
        ),
      )
  if (busOf(one) === 'sata' && logical !== minBlock)
    errors.push(invalidValue(`${at}.custom.logical`, `Logical size ${logical} must be ${minBlock} for SATA devices`))
  return errors
}
