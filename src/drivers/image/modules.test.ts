import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { dependenciesOf, loadOrder } from './modules.ts'

describe('kernel modules', () => {
  it('say what they need', () => {
    const module = (depends: string) => Buffer.from(`ELF...\0license=GPL\0depends=${depends}\0intree=Y\0`)
    assert.deepEqual(dependenciesOf(module('virtio_ring,virtio')), ['virtio_ring', 'virtio'])
    assert.deepEqual(dependenciesOf(module('')), [])
    assert.deepEqual(dependenciesOf(Buffer.from('nothing here')), [])
  })

  it('are loaded after what they need, in the wanted order otherwise', () => {
    const needs = new Map([
      ['net', ['ring', 'failover']],
      ['ring', []],
      ['failover', []],
      ['console', ['ring', 'builtin']],
    ])
    assert.deepEqual(loadOrder(['failover', 'net', 'absent', 'console'], needs), ['failover', 'ring', 'net', 'console'])
  })

  it('that need each other are an error', () => {
    const needs = new Map([
      ['a', ['b']],
      ['b', ['a']],
    ])
    assert.throws(() => loadOrder(['a'], needs), { kind: 'Bug' })
  })
})
