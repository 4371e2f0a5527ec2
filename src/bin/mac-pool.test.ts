import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { macErrors } from '#core/admission/macs.ts'
import { MacPool } from './mac-pool.ts'

const tiny = () => ({ start: '02:00:00:00:00:fe', end: '02:00:00:00:01:01' })
const vm = (name: string, ...macs: string[]) =>
  ({
    metadata: { namespace: 'ns', name },
    spec: {
      template: {
        spec: { domain: { devices: { interfaces: macs.map((macAddress, i) => ({ name: `n${i}`, macAddress })) } } },
      },
    },
  }) as unknown as VirtualMachine

test('every address of a range is given once, then the remedy is told', () => {
  const pool = new MacPool(tiny)
  const given = Array.from({ length: 4 }, () => pool.take())
  assert.deepEqual(given.toSorted(), [
    '02:00:00:00:00:fe',
    '02:00:00:00:00:ff',
    '02:00:00:00:01:00',
    '02:00:00:00:01:01',
  ])
  assert.throws(() => pool.take(), { kind: 'Invalid', message: /No MAC address is left .* extend .*macPool/ })
})

test('what VMs have is not given, and what they had is, in whatever spelling', () => {
  const pool = new MacPool(tiny)
  const first = vm('a', '02-00-00-00-00-FE', '02:00:00:00:00:ff')
  pool.note(first, undefined)
  assert.deepEqual([pool.take(), pool.take()].toSorted(), ['02:00:00:00:01:00', '02:00:00:00:01:01'])
  assert.throws(() => pool.take(), { kind: 'Invalid' })
  pool.note(vm('a', '02:00:00:00:00:ff'), first)
  assert.equal(pool.take(), '02:00:00:00:00:fe')
  pool.note(undefined, vm('a', '02:00:00:00:00:ff'))
  assert.equal(pool.take(), '02:00:00:00:00:ff')
})

test('an address given for a VM that never came is free again after a while', () => {
  let now = 0
  const pool = new MacPool(tiny, () => now)
  for (let i = 0; i < 4; i++) pool.take()
  assert.throws(() => pool.take(), { kind: 'Invalid' })
  now = 60_001
  assert.ok(pool.take())
})

test('an address that another VM has is refused, naming it; twins within a VM too', () => {
  const pool = new MacPool(tiny)
  pool.note(vm('a', '02:00:00:00:00:01'), undefined)
  const errorsOf = (one: VirtualMachine, old?: VirtualMachine) =>
    macErrors(one, old, (mac) => pool.holderOf(mac, `ns/${one.metadata.name}`)).map(({ message }) => message)
  assert.deepEqual(errorsOf(vm('a', '02:00:00:00:00:01')), [])
  assert.deepEqual(errorsOf(vm('b', '02-00-00-00-00-01')), [
    'interface "n0" cannot have the MAC address 02-00-00-00-00-01: VM ns/a has it; choose another one, or leave it out to be given one',
  ])
  assert.match(errorsOf(vm('b', '02:00:00:00:00:05', '02:00:00:00:00:05'))[0] ?? '', /interface "n0" of this VM has it/)
  // What a VM has already is not judged again, whoever else has got it by now.
  assert.deepEqual(errorsOf(vm('b', '02:00:00:00:00:01'), vm('b', '02:00:00:00:00:01')), [])
})
