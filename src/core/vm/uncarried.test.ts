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

const panic = { model: 'isa' }

for (const [what, object, expected] of [
  ['what is carried out', vm({ cpu: { cores: 2 }, memory: { guest: '1Gi' } }, { hostname: 'h' }), []],
  ['a list as a whole', vm({ devices: { panicDevices: [panic, panic] } }), [`${at}.devices.panicDevices`]],
  ['an empty list', vm({ devices: { panicDevices: [] } }, { utilityVolumes: [] }), []],
  [
    'a field of an item',
    vm({ devices: { disks: [{ name: 'a' }, { name: 'b', dedicatedIOThread: true }] } }),
    [`${at}.devices.disks[1].dedicatedIOThread`],
  ],
  [
    'one part of an object',
    vm({ memory: { guest: '1Gi', hugepages: { pageSize: '2Mi' } } }),
    [`${at}.memory.hugepages`],
  ],
  ['a value that says what is so anyway', vm({ devices: { autoattachMemBalloon: false }, rebootPolicy: 'Reboot' }), []],
  [
    'another value of the same field',
    vm({ devices: { autoattachMemBalloon: true }, rebootPolicy: 'Terminate' }),
    [`${at}.rebootPolicy`, `${at}.devices.autoattachMemBalloon`],
  ],
  [
    'fields that have no effect by their nature',
    vm({ devices: { rng: {} } }, { schedulerName: 's', tolerations: [{}] }),
    [],
  ],
  ['fields of the VM itself', vm({}, {}, { updateVolumesStrategy: 'Replacement' }), ['spec.updateVolumesStrategy']],
  ['null', vm({ launchSecurity: null }), []],
] as const)
  test(`is not carried out: ${what}`, () => assert.deepEqual(paths(object), expected))

test('a warning says what happens instead', () => {
  assert.deepEqual(warnings(vm({ devices: { panicDevices: [{}] }, launchSecurity: {} })), [
    `${at}.launchSecurity is kept and not carried out: the memory of guests is not encrypted`,
    `${at}.devices.panicDevices is kept and not carried out`,
  ])
})

test('a change is answered with warnings about what it changes', () => {
  const old = vm({ devices: { panicDevices: [panic] }, ioThreads: { supplementalPoolThreadCount: 1 } })
  assert.deepEqual(warnings(old, old), [])
  assert.deepEqual(
    warnings(vm({ devices: { panicDevices: [panic] }, ioThreads: { supplementalPoolThreadCount: 2 } }), old),
    [`${at}.ioThreads is kept and not carried out`],
  )
})

test('a condition names the fields, and goes with them', () => {
  const now = '2026-01-01T00:00:00Z'
  const list = withUncarriedOfVm([], vm({ launchSecurity: {} }), now)
  assert.deepEqual(list, [
    {
      type: 'NotCarriedOut',
      status: 'True',
      reason: 'FieldsNotCarriedOut',
      message: `Kept and not carried out: ${at}.launchSecurity`,
      lastTransitionTime: now,
    },
  ])
  assert.deepEqual(withUncarriedOfVm(list, vm(), now), [])
  const disks = Array.from({ length: 25 }, (_, i) => ({ name: `d${i}`, dedicatedIOThread: true }))
  const vmi = { spec: { domain: { devices: { disks } } } } as unknown as VirtualMachineInstance
  const { message = '' } = findCondition(withUncarriedOfInstance(undefined, vmi, now), 'NotCarriedOut') ?? {}
  assert.match(
    message,
    /^Kept and not carried out: spec\.domain\.devices\.disks\[0\]\.dedicatedIOThread, .*\[19\]\.dedicatedIOThread and 5 more$/,
  )
})
