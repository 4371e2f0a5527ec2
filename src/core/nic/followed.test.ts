import assert from 'node:assert/strict'
import { test } from 'node:test'
import { failureOf, isInGuest } from './followed.ts'

const red = 'interface "red" cannot be plugged: network ns/red does not exist; create it'
const blue = 'interface "blue" cannot be unplugged: the guest holds it'

const withCondition = (message: string, status: 'True' | 'False' = 'False') => ({
  status: { conditions: [{ type: 'Synchronized', status, message }] },
})

for (const [message, nic, expected] of [
  [red, 'red', red],
  [`${blue}; ${red}`, 'red', red],
  [`${blue}; ${red}`, 'green', undefined],
  ['the hypervisor does not answer; see its node', 'red', 'the hypervisor does not answer; see its node'],
  [`the hypervisor does not answer; ${blue}; ${red}`, 'red', `the hypervisor does not answer; ${red}`],
] as const)
  test(`of ${JSON.stringify(message)} ${nic} hears ${JSON.stringify(expected)}`, () =>
    assert.equal(failureOf(withCondition(message), nic), expected))

test('an instance that is as declared, or has no status yet, hears of no failure', () => {
  assert.equal(failureOf(withCondition(red, 'True'), 'red'), undefined)
  assert.equal(failureOf({}, 'red'), undefined)
  assert.equal(failureOf(undefined, 'red'), undefined)
})

test('a card is in the guest when its hypervisor says so', () => {
  assert.ok(isInGuest({ infoSource: 'domain, guest-agent' }))
  assert.ok(!isInGuest({ infoSource: 'multus-status' }))
  assert.ok(!isInGuest({}))
})
