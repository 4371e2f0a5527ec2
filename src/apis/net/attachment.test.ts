import assert from 'node:assert/strict'
import { test } from 'node:test'
import { networkSelectionsIn, networkStatusIn } from './attachment.ts'

test('what the owner of a pod has written over an annotation counts as nothing', () => {
  const one = { name: 'blue', interface: 'pod1' }
  for (const [text, wanted] of [
    [JSON.stringify([one]), [one]],
    [JSON.stringify([one, 'blue', null]), [one]],
    ['', []],
    ['blue', []],
    ['{"name":"blue"}', []],
  ] as const) {
    assert.deepEqual(networkSelectionsIn({ 'k8s.v1.cni.cncf.io/networks': text }), wanted)
    assert.deepEqual(networkStatusIn({ 'k8s.v1.cni.cncf.io/network-status': text }), wanted)
  }
  assert.deepEqual([networkSelectionsIn(undefined), networkStatusIn({})], [[], []])
})
