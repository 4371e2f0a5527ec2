import assert from 'node:assert/strict'
import { test } from 'node:test'
import { planSweep, withClaimed } from './bridges.ts'

const own = new Map([['br1', 'ns/red']])
const names = (bridges: ReadonlyMap<string, string>) => [...bridges].map(([name, network]) => `${name} ${network}`)

for (const [what, wanted, present, expected] of [
  ['that will be made is claimed for its network', ['br2'], [], ['br1 ns/red', 'br2 ns/blue']],
  ['that was there before is not Patchbay’s', ['br2'], ['br2'], ['br1 ns/red']],
  ['stays that of the network it was made for', ['br1'], ['br1'], ['br1 ns/red']],
  ['that was made and is gone stays claimed', ['br1'], [], ['br1 ns/red']],
  ['may be called as objects’ properties are', ['constructor'], [], ['br1 ns/red', 'constructor ns/blue']],
  ['may be called __proto__', ['__proto__'], [], ['br1 ns/red', '__proto__ ns/blue']],
] as const)
  test(`a bridge ${what}`, () =>
    assert.deepEqual(names(withClaimed(own, wanted, 'ns/blue', new Set<string>(present) as never)), expected))

test('nothing is written when nothing is claimed', () => {
  assert.equal(withClaimed(own, ['br1'], 'ns/blue', new Map()), own)
})

test('a bridge is removed when its network is unused and it has no port; one that is gone is forgotten', () => {
  const all = new Map([
    ['busy', 'ns/unused'],
    ['used', 'ns/used'],
    ['idle', 'ns/unused'],
    ['gone', 'ns/unused'],
    ['gone-used', 'ns/used'],
  ])
  const links = new Map<string, { master?: string }>([
    ...['busy', 'used', 'idle', 'foreign'].map((name) => [name, {}] as const),
    ['veth1', { master: 'busy' }],
  ])
  const { remove, kept } = planSweep(all, links, (network) => network === 'ns/unused')
  assert.deepEqual(remove, ['idle'])
  assert.deepEqual([...kept.keys()], ['busy', 'used', 'gone-used'])
})
