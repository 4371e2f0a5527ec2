import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Nic } from './nic.ts'
import { planNics } from './plan.ts'
import { planLines } from './plan-text.ts'

const nic = (name: string, over: Partial<Nic> = {}): Nic => ({
  name,
  mac: '02:00:00:00:00:01',
  model: 'virtio',
  binding: 'bridge',
  network: 'default/red',
  link: 'up',
  ...over,
})

test('a plan in words says what changes, from what to what, and at what cost', () => {
  const observed = [nic('red'), nic('blue'), nic('old'), nic('same')]
  const desired = [nic('red', { link: 'down' }), nic('blue', { link: 'down', model: 'e1000' }), nic('same'), nic('new')]
  assert.deepEqual(planLines(planNics(desired, observed), desired, observed), [
    'update link of interface "red": up -> down (live)',
    'update link of interface "blue": up -> down (live)',
    'update model of interface "blue": virtio -> e1000 (restart)',
    'add interface "new" (restart)',
    'remove interface "old" (restart)',
  ])
  assert.deepEqual(planLines(planNics(observed, observed), observed, observed), [])
})
