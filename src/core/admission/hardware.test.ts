import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import { hardwareErrors } from './hardware.ts'

const d = 'spec.domain'
const key = (propagationMethod: object, source: object = { secret: { secretName: 's' } }) => ({
  accessCredentials: [{ sshPublicKey: { source, propagationMethod } }],
})
const c = 'spec.accessCredentials[0].sshPublicKey'

/** By what is wrong: parts of the domain, of its devices and of the spec, and the errors (facts/disks.md §A3). */
const cases: readonly (readonly [
  what: string,
  domain: object,
  devices: object,
  spec: object,
  expected: readonly string[],
])[] = [
  ['nothing', { machine: { type: 'pc-q35-7.2' }, cpu: { model: 'Haswell-noTSX' }, clock: { utc: {} } }, {}, {}, []],
  [
    'another machine',
    { machine: { type: 'pc' } },
    {},
    {},
    [`${d}.machine.type: ${d}.machine.type is not supported: pc (allowed values: [q35* pc-q35*])`],
  ],
  [
    'a CPU model that is none',
    { cpu: { model: 'a b' } },
    {},
    {},
    [`${d}.cpu.model: ${d}.cpu.model "a b" is no name of a CPU model`],
  ],
  [
    'a CPU feature policy',
    { cpu: { features: [{ name: 'vmx', policy: 'please' }] } },
    {},
    {},
    [
      `${d}.cpu.features[0].policy: CPU feature policy please is not supported, valid values: [force require optional disable forbid]`,
    ],
  ],
  [
    'BIOS and EFI',
    { firmware: { bootloader: { bios: {}, efi: { secureBoot: false } } } },
    {},
    {},
    [
      `${d}.firmware.bootloader.efi: ${d}.firmware.bootloader has both EFI and BIOS configured, but they are mutually exclusive.`,
    ],
  ],
  [
    'secure boot, the default of EFI, without SMM',
    { firmware: { bootloader: { efi: {} } } },
    {},
    {},
    [
      `${d}.firmware.bootloader.efi.secureBoot: ${d} has EFI SecureBoot enabled. SecureBoot requires SMM, which is currently disabled.`,
    ],
  ],
  ['secure boot with SMM', { firmware: { bootloader: { efi: {} } }, features: { smm: {} } }, {}, {}, []],
  [
    'a serial with a comma',
    { firmware: { serial: 'a,b' } },
    {},
    {},
    [
      `${d}.firmware.serial: ${d}.firmware.serial must be made up of at most 64 letters, digits, spaces and the characters _.+-`,
    ],
  ],
  [
    'a chassis with a quote',
    { chassis: { asset: '"' } },
    {},
    {},
    [
      `${d}.chassis.asset: ${d}.chassis.asset must be made up of at most 64 letters, digits, spaces and the characters _.+-`,
    ],
  ],
  [
    'two clocks',
    { clock: { utc: {}, timezone: 'UTC' } },
    {},
    {},
    [`${d}.clock: ${d}.clock cannot have both utc and timezone`],
  ],
  [
    'a tick policy',
    { clock: { timer: { pit: { tickPolicy: 'merge' } } } },
    {},
    {},
    [`${d}.clock.timer.pit.tickPolicy: ${d}.clock.timer.pit.tickPolicy must be one of: delay, catchup, discard`],
  ],
  [
    'inputs of other kinds',
    {},
    { inputs: [{ name: 'a', type: 'mouse', bus: 'ps2' }] },
    {},
    [
      `${d}.devices.inputs[0].bus: Input device can have only virtio or usb bus.`,
      `${d}.devices.inputs[0].type: Input device can have only tablet type.`,
    ],
  ],
  [
    'a watchdog that dumps',
    {},
    { watchdog: { name: 'w', i6300esb: { action: 'dump' } } },
    {},
    [
      `${d}.devices.watchdog.i6300esb.action: ${d}.devices.watchdog.i6300esb.action must be one of: poweroff, reset, shutdown`,
    ],
  ],
  [
    'a screen without one',
    {},
    { autoattachGraphicsDevice: false, video: { type: 'vga' } },
    {},
    [`${d}.devices.video: ${d}.devices.video cannot be set while autoattachGraphicsDevice is false`],
  ],
  [
    'sound',
    {},
    { sound: { name: 's', model: 'sb16' } },
    {},
    [`${d}.devices.sound.model: Sound device type is not supported. Options: 'ich9' or 'ac97'`],
  ],
  [
    'keys for cloud-init without its disk',
    {},
    {},
    key({ noCloud: {} }),
    [
      `${c}.propagationMethod: ${c}.propagationMethod requires a noCloud volume to exist when the noCloud propagationMethod is in use.`,
    ],
  ],
  ['keys with their disk', {}, {}, { ...key({ noCloud: {} }), volumes: [{ name: 'v', cloudInitNoCloud: {} }] }, []],
  [
    'keys from nowhere, given in two ways',
    {},
    {},
    { ...key({ noCloud: {}, qemuGuestAgent: { users: ['u'] } }, {}), volumes: [{ name: 'v', cloudInitNoCloud: {} }] },
    [
      `${c}.source: ${c} must have exactly one source set`,
      `${c}.propagationMethod: ${c} must have exactly one propagationMethod set`,
    ],
  ],
  [
    'an empty credential',
    {},
    {},
    { accessCredentials: [{}] },
    ['spec.accessCredentials[0]: spec.accessCredentials[0] must have exactly one access credential type set'],
  ],
]
for (const [what, domain, devices, spec, expected] of cases)
  test(`the hardware of a guest: ${what}`, () => {
    const errors = hardwareErrors({ domain: { ...domain, devices }, ...spec } as VmiSpec, 'spec')
    assert.deepEqual(
      errors.map(({ field, message }) => `${field}: ${message}`),
      expected,
    )
  })
