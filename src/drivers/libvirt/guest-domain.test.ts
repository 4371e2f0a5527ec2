import assert from 'node:assert/strict'
import { test } from 'node:test'
import { domainState } from './guest-domain.ts'
import type { StateAndReason } from './rpc/states.ts'

const idle = "<domstatus state='paused'><job type='none' async='none'/></domstatus>"
const arriving = "<domstatus state='paused'><job type='none' async='migration in' phase='finish3'/></domstatus>"

const cases: readonly [state: StateAndReason['state'], reason: string, file: string, is: string][] = [
  ['running', 'booted', idle, 'running'],
  ['running', 'migrated', idle, 'running'],
  ['blocked', 'unknown', idle, 'running'],
  ['paused', 'user', idle, 'paused'],
  ['paused', 'ioError', idle, 'paused'],
  ['paused', 'startingUp', idle, 'moving'],
  ['paused', 'migration', idle, 'moving'],
  // It has arrived, but a libvirtd that died now would not know that.
  ['paused', 'user', arriving, 'moving'],
  ['paused', 'user', '', 'moving'],
  // libvirt lists a guest before it has started it and while it takes it down: neither runs.
  ['shutoff', 'unknown', '', 'moving'],
  ['shutoff', 'migrated', idle, 'moving'],
  ['none', 'unknown', '', 'moving'],
  ['shutdown', 'user', idle, 'shutting-down'],
]
for (const [state, reason, file, is] of cases)
  test(`a domain that is ${state} (${reason}) ${file ? `with ${/async='[^']*'/.exec(file)?.[0]}` : 'without a file'} is ${is}`, () =>
    assert.equal(domainState({ state, reason }, file), is))
