import assert from 'node:assert/strict'
import { test } from 'node:test'
import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { findCondition } from './conditions.ts'
import { uncarriedWarnings, withUncarriedOfInstance, withUncarriedOfVm } from './uncarried.ts'

const at = 'spec.template.spec.domain'

/** A VM with these parts of its template's domain and spec. */
function vm(domain: object = {}, spec: object = {}, own: object = {}): VirtualMachine {
  const template = { spec: { domain: { devices: {}, ...domain }, ...spec } }
  return { apiVersion: 'kubevirt.io/v1', kind: 'VirtualMachine', metadata: { name: 'v' }, spec: { template, ...own } }
}
const warnings = (now: VirtualMachine, old?: VirtualMachine) => uncarriedWarnings(VirtualMachine, now, old)
const paths = (now: VirtualMachine) => warnings(now).map((text) => text.split(' is kept')[0])

const disk = { name: 'root', disk: { bus: 'virtio' } }

for (const [what, object, expected] of [
  ['what is carried out', vm({ cpu: { cores: 2 }, memory: { guest: '1Gi' } }, { hostname: 'h' }), []],
  ['a list as a whole', vm({ devices: { disks: [disk, disk] } }), [`${at}.devices.disks`]],
  ['an empty list', vm({ devices: { disks: [] } }, { volumes: [] }), []],
  [
    'a field of an item',
    vm({ devices: { interfaces: [{ name: 'a' }, { name: 'b', tag: 't' }] } }),
    [`${at}.devices.interfaces[1].tag`],
  ],
  ['one part of an object', vm({ clock: { utc: {}, timezone: 'Europe/Paris' } }), [`${at}.clock.timezone`]],
  [
    'a value that says what is so anyway',
    vm({ devices: { autoattachGraphicsDevice: false }, machine: { type: 'q35' } }),
    [],
  ],
  [
    'another value of the same field',
    vm({ devices: { autoattachGraphicsDevice: true }, machine: { type: 'pc' } }),
    [`${at}.machine.type`, `${at}.devices.autoattachGraphicsDevice`],
  ],
  ['an object that says what is so anyway', vm({ features: { acpi: { enabled: true } } }), []],
  [
    'an object that says more',
    vm({ features: { acpi: { enabled: true }, smm: { enabled: true } } }),
    [`${at}.features`],
  ],
  [
    'fields that have no effect by their nature',
    vm({ devices: { rng: {} } }, { schedulerName: 's', tolerations: [{}] }),
    [],
  ],
  ['fields of the VM itself', vm({}, {}, { instancetype: { name: 'u1.small' } }), ['spec.instancetype']],
  ['null', vm({ chassis: null }), []],
] as const)
  test(`is not carried out: ${what}`, () => assert.deepEqual(paths(object), expected))

test('a warning says what happens instead', () => {
  assert.deepEqual(warnings(vm({ devices: { disks: [disk] }, chassis: {} })), [
    `${at}.chassis is kept and not carried out`,
    `${at}.devices.disks is kept and not carried out: guests boot from a kernel and an initrd`,
  ])
})

test('a change is answered with warnings about what it changes', () => {
  const old = vm({ devices: { disks: [disk] }, chassis: { serial: '1' } })
  assert.deepEqual(warnings(old, old), [])
  assert.deepEqual(warnings(vm({ devices: { disks: [disk] }, chassis: { serial: '2' } }), old), [
    `${at}.chassis is kept and not carried out`,
  ])
})

test('a condition names the fields, and goes with them', () => {
  const now = '2026-01-01T00:00:00Z'
  const list = withUncarriedOfVm([], vm({ chassis: {} }), now)
  assert.deepEqual(list, [
    {
      type: 'NotCarriedOut',
      status: 'True',
      reason: 'FieldsNotCarriedOut',
      message: `Kept and not carried out: ${at}.chassis`,
      lastTransitionTime: now,
    },
  ])
  assert.deepEqual(withUncarriedOfVm(list, vm(), now), [])
  const interfaces = Array.from({ length: 25 }, (_, i) => ({ name: `n${i}`, tag: 't' }))
  const vmi = { spec: { domain: { devices: { interfaces } } } } as unknown as VirtualMachineInstance
  const { message = '' } = findCondition(withUncarriedOfInstance(undefined, vmi, now), 'NotCarriedOut') ?? {}
  assert.match(
    message,
    /^Kept and not carried out: spec\.domain\.devices\.interfaces\[0\]\.tag, .*\[19\]\.tag and 5 more$/,
  )
})
