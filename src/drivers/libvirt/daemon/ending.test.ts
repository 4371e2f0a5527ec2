import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { endingOf } from './ending.ts'

const start = '2026-11-21 01:59:24.204+0000: starting up libvirt version: 9.0.0, package: 9.0.0-4+deb12u2 (Debian)\n'
const end = (reason: string) => `2026-11-21 02:00:40.067+0000: shutting down, reason=${reason}\n`

describe('the end of a guest', () => {
  it('is the last line of its kind', () => {
    const noise = '2026-11-21T02:00:38.865632Z qemu-system-x86_64: terminating on signal 15 from pid 3958\n'
    assert.deepEqual(endingOf(start + noise + end('destroyed')), {
      reason: 'destroyed',
      at: new Date('2026-11-21T02:00:40.067Z'),
    })
    assert.equal(endingOf(start + end('crashed') + start + end('shutdown'))?.reason, 'shutdown')
  })

  it('is not there while the guest runs, or never ran', () => {
    assert.equal(endingOf(start + end('crashed') + start), undefined)
    assert.equal(endingOf(''), undefined)
  })
})
