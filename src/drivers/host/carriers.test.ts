import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Attachment } from '#core/sandbox/plan.ts'
import { requireCarrier } from './carriers.ts'

const require = (binding: Attachment['binding'], ...types: string[]) =>
  requireCarrier({ network: 'ns/red', binding } as Attachment, {
    ...{ cniVersion: '1.0.0', name: 'red' },
    plugins: types.map((type) => ({ type })),
  })

for (const [type, remedy] of [
  ['macvlan', /frames for their own MAC only; use the plugin "bridge"/],
  ['ipvlan', /frames for their own MAC only; use the plugin "bridge"/],
  ['loopback', /makes no link that leads anywhere; use the plugin "bridge"/],
  ['vrf', /take that plugin out, and make the VRF in the guest$/],
] as const)
  test(`a guest with bridge binding is not put on what ${type} makes, anywhere in a chain`, () => {
    const expected = { kind: 'Invalid', message: remedy }
    assert.throws(() => require('bridge', type), expected)
    assert.throws(() => require('bridge', 'bridge', 'tuning', type), expected)
    require('masquerade', type)
  })

test('plugins whose links carry any frame, and those that nobody knows, are taken', () => {
  require('bridge', 'bridge', 'tuning', 'bandwidth', 'portmap')
  require('bridge', 'ovs', 'constructor', 'toString')
})
