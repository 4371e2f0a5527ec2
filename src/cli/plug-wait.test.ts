import assert from 'node:assert/strict'
import { test } from 'node:test'
import { failureOf } from './plug-wait.ts'

const red = 'interface "red" cannot be plugged: network ns/red does not exist; create it'
const blue = 'interface "blue" cannot be unplugged: the guest holds it'

for (const [message, nic, expected] of [
  [red, 'red', red],
  [`${blue}; ${red}`, 'red', red],
  [`${blue}; ${red}`, 'green', undefined],
  ['the hypervisor does not answer; see its node', 'red', 'the hypervisor does not answer; see its node'],
  [`the hypervisor does not answer; ${blue}; ${red}`, 'red', `the hypervisor does not answer; ${red}`],
] as const)
  test(`of ${JSON.stringify(message)} ${nic} hears ${JSON.stringify(expected)}`, () =>
    assert.equal(failureOf(message, nic), expected))
