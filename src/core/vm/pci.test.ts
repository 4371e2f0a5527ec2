import assert from 'node:assert/strict'
import { test } from 'node:test'
import { extraPorts, freePorts, hotplugPorts, rootComplexAnnotation, slotCountAnnotation } from './pci.ts'

// facts/kubevirt.md §4.2: KubeVirt's own unit tables.
const GiB = 2 ** 30
const root = { [rootComplexAnnotation]: 'true' }
const slots = (count: string) => ({ [slotCountAnnotation]: count })

test('hotplugPorts: what is missing to four interfaces, none without any', () => {
  assert.deepEqual(
    [0, 1, 2, 3, 4, 5].map((count) => hotplugPorts(count, undefined)),
    [0, 3, 2, 1, 0, 0],
  )
  assert.equal(hotplugPorts(1, root), 0)
  assert.equal(hotplugPorts(1, slots('11')), 10)
  assert.equal(hotplugPorts(3, slots('2')), 0)
  assert.deepEqual(hotplugPorts(1, slots('not-a-number')), {
    problem: 'invalid kubevirt.io/pci-interface-slot-count annotation value "not-a-number"',
  })
})

for (const [memory, used, expected] of [
  [1, 0, 8],
  [1, 2, 6],
  [1, 4, 4],
  [1, 5, 3],
  [1, 6, 3],
  [1, 8, 3],
  [2, 2, 6],
  [2, 8, 3],
  [2 + 1 / GiB, 2, 14],
  [2 + 1 / GiB, 8, 8],
  [3, 0, 16],
  [3, 4, 12],
  [3, 8, 8],
  [3, 10, 6],
  [3, 12, 6],
  [3, 16, 6],
] as const)
  test(`free ports with ${memory} GiB and ${used} devices: ${expected}`, () => {
    assert.equal(freePorts(memory * GiB, used, undefined), expected)
    assert.equal(freePorts(memory * GiB, used, root), 0)
  })

for (const [memory, used, held, expected] of [
  [3, 4, 3, 9],
  [3, 10, 3, 3],
  [3, 4, 0, 12],
  [1, 2, 3, 3],
  [1, 5, 3, 0],
  [1, 2, 0, 6],
  [2, 4, 2, 2],
  [1, 7, 3, 0],
] as const)
  test(`extra ports with ${memory} GiB, ${used} devices and ${held} hotplugPorts: ${expected}`, () =>
    assert.equal(extraPorts(memory * GiB, used, held, undefined), expected))
