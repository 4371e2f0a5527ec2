import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import { type FieldError, invalidValue } from '#apis/meta/object.ts'
import { isOn } from '../vm/hardware.ts'

const machinePattern = /^(pc-)?q35(-[\w.]+)?$/
const cpuModelPattern = /^[\w.-]+$/
const featurePolicies = ['force', 'require', 'optional', 'disable', 'forbid']
const watchdogActions = ['poweroff', 'reset', 'shutdown']
const videoTypes = ['vga', 'virtio', 'bochs', 'cirrus', 'ramfb']
const soundModels = ['ich9', 'ac97']
/** libvirt gives texts of SMBIOS to QEMU in one option. */
const systemPattern = /^[\w.+ -]{1,64}$/

/** All errors in the hardware of a guest beside disks and interfaces, in KubeVirt's words (facts/disks.md §A3). */
export function hardwareErrors(spec: VmiSpec, path: string): FieldError[] {
  const at = `${path}.domain`
  return [
    ...machineErrors(spec, at),
    ...cpuErrors(spec, at),
    ...firmwareErrors(spec, at),
    ...clockErrors(spec, at),
    ...deviceErrors(spec, `${at}.devices`),
    ...passedErrors(spec, `${at}.devices`),
    ...credentialErrors(spec, path),
  ]
}

function machineErrors({ domain }: VmiSpec, at: string): FieldError[] {
  const type = domain.machine?.type
  if (!type || machinePattern.test(type)) return []
  const field = `${at}.machine.type`
  return [invalidValue(field, `${field} is not supported: ${type} (allowed values: [q35* pc-q35*])`)]
}

function cpuErrors({ domain }: VmiSpec, at: string): FieldError[] {
  const { model, features = [] } = domain.cpu ?? {}
  const errors: FieldError[] = []
  if (model !== undefined && !cpuModelPattern.test(model))
    errors.push(invalidValue(`${at}.cpu.model`, `${at}.cpu.model ${JSON.stringify(model)} is no name of a CPU model`))
  for (const [i, { name, policy }] of features.entries()) {
    const field = `${at}.cpu.features[${i}]`
    if (!cpuModelPattern.test(name))
      errors.push(invalidValue(`${field}.name`, `${field}.name ${JSON.stringify(name)} is no name of a CPU feature`))
    if (policy && !featurePolicies.includes(policy))
      errors.push(
        invalidValue(
          `${field}.policy`,
          `CPU feature policy ${policy} is not supported, valid values: [${featurePolicies.join(' ')}]`,
        ),
      )
  }
  return errors
}

function firmwareErrors({ domain }: VmiSpec, at: string): FieldError[] {
  const { bootloader, serial } = domain.firmware ?? {}
  const field = `${at}.firmware`
  const errors: FieldError[] = []
  if (bootloader?.bios && bootloader.efi)
    errors.push(
      invalidValue(
        `${field}.bootloader.efi`,
        `${field}.bootloader has both EFI and BIOS configured, but they are mutually exclusive.`,
      ),
    )
  const isSecure = bootloader?.efi && bootloader.efi.secureBoot !== false
  if (isSecure && !isOn(domain.features?.smm))
    errors.push(
      invalidValue(
        `${field}.bootloader.efi.secureBoot`,
        `${at} has EFI SecureBoot enabled. SecureBoot requires SMM, which is currently disabled.`,
      ),
    )
  const texts = [
    [`${field}.serial`, serial],
    ...Object.entries(domain.chassis ?? {}).map(([name, value]) => [`${at}.chassis.${name}`, value]),
  ] as const
  for (const [where, value] of texts)
    if (where && value !== undefined && !systemPattern.test(value))
      errors.push(
        invalidValue(where, `${where} must be made up of at most 64 letters, digits, spaces and the characters _.+-`),
      )
  return errors
}

function clockErrors({ domain }: VmiSpec, at: string): FieldError[] {
  const { utc, timezone, timer } = domain.clock ?? {}
  const field = `${at}.clock`
  const errors: FieldError[] = []
  if (utc && timezone) errors.push(invalidValue(field, `${field} cannot have both utc and timezone`))
  if (timezone !== undefined && !/^[A-Za-z0-9_+/-]{1,64}$/.test(timezone))
    errors.push(
      invalidValue(`${field}.timezone`, `${field}.timezone must be the name of a time zone, such as Europe/Berlin`),
    )
  const policies = {
    hpet: ['delay', 'catchup', 'merge', 'discard'],
    pit: ['delay', 'catchup', 'discard'],
    rtc: ['delay', 'catchup'],
  }
  for (const name of ['hpet', 'pit', 'rtc'] as const) {
    const policy = timer?.[name]?.tickPolicy
    if (policy && !policies[name].includes(policy))
      errors.push(
        invalidValue(
          `${field}.timer.${name}.tickPolicy`,
          `${field}.timer.${name}.tickPolicy must be one of: ${policies[name].join(', ')}`,
        ),
      )
  }
  const track = timer?.rtc?.track
  if (track && track !== 'guest' && track !== 'wall')
    errors.push(invalidValue(`${field}.timer.rtc.track`, `${field}.timer.rtc.track must be guest or wall`))
  return errors
}

function deviceErrors({ domain }: VmiSpec, at: string): FieldError[] {
  const { inputs = [], watchdog, video, sound, autoattachGraphicsDevice } = domain.devices
  const errors: FieldError[] = []
  for (const [i, { type, bus }] of inputs.entries()) {
    const field = `${at}.inputs[${i}]`
    if (bus && bus !== 'virtio' && bus !== 'usb')
      errors.push(invalidValue(`${field}.bus`, 'Input device can have only virtio or usb bus.'))
    if (type !== 'tablet') errors.push(invalidValue(`${field}.type`, 'Input device can have only tablet type.'))
  }
  const action = watchdog?.i6300esb?.action
  if (action && !watchdogActions.includes(action))
    errors.push(
      invalidValue(
        `${at}.watchdog.i6300esb.action`,
        `${at}.watchdog.i6300esb.action must be one of: ${watchdogActions.join(', ')}`,
      ),
    )
  if (video?.type && !videoTypes.includes(video.type))
    errors.push(invalidValue(`${at}.video.type`, `${at}.video.type must be one of: ${videoTypes.join(', ')}`))
  if (video && autoattachGraphicsDevice === false)
    errors.push(invalidValue(`${at}.video`, `${at}.video cannot be set while autoattachGraphicsDevice is false`))
  if (sound?.model && !soundModels.includes(sound.model))
    errors.push(
      invalidValue(`${at}.sound.model`, `Sound device type is not supported. Options: '${soundModels.join("' or '")}'`),
    )
  return errors
}

/** No device of a host is permitted, so each is refused as KubeVirt refuses one that is not. */
function passedErrors({ domain }: VmiSpec, at: string): FieldError[] {
  const errorsOf = (what: 'GPU' | 'HostDevice', field: 'gpus' | 'hostDevices') =>
    (domain.devices[field] ?? []).map(({ deviceName }, i) =>
      invalidValue(
        `${at}.${field}[${i}]`,
        `${what} ${deviceName} is not permitted in permittedHostDevices configuration`,
      ),
    )
  return [...errorsOf('GPU', 'gpus'), ...errorsOf('HostDevice', 'hostDevices')]
}

function credentialErrors({ accessCredentials = [], volumes = [] }: VmiSpec, path: string): FieldError[] {
  const has = (volume: 'cloudInitNoCloud' | 'cloudInitConfigDrive') => volumes.some((one) => one[volume])
  return accessCredentials.flatMap((one, i): FieldError[] => {
    const at = `${path}.accessCredentials[${i}]`
    const { sshPublicKey, userPassword } = one
    if ((sshPublicKey ? 1 : 0) + (userPassword ? 1 : 0) !== 1)
      return [invalidValue(at, `${at} must have exactly one access credential type set`)]
    const credential = sshPublicKey ?? userPassword
    const field = `${at}.${sshPublicKey ? 'sshPublicKey' : 'userPassword'}`
    const errors: FieldError[] = []
    if (!credential?.source?.secret)
      errors.push(invalidValue(`${field}.source`, `${field} must have exactly one source set`))
    const methods = Object.values(credential?.propagationMethod ?? {}).filter(Boolean)
    if (methods.length !== 1)
      errors.push(invalidValue(`${field}.propagationMethod`, `${field} must have exactly one propagationMethod set`))
    const { noCloud, configDrive, qemuGuestAgent } = sshPublicKey?.propagationMethod ?? {}
    if (noCloud && !has('cloudInitNoCloud'))
      errors.push(
        invalidValue(
          `${field}.propagationMethod`,
          `${field}.propagationMethod requires a noCloud volume to exist when the noCloud propagationMethod is in use.`,
        ),
      )
    if (configDrive && !has('cloudInitConfigDrive'))
      errors.push(
        invalidValue(
          `${field}.propagationMethod`,
          `${field}.propagationMethod requires a configDrive volume to exist when the configDrive propagationMethod is in use.`,
        ),
      )
    if (qemuGuestAgent && !qemuGuestAgent.users.length)
      errors.push(
        invalidValue(
          `${field}.propagationMethod.qemuGuestAgent.users`,
          `${field}.propagationMethod.qemuGuestAgent requires at least one user to be present in the users list`,
        ),
      )
    return errors
  })
}
