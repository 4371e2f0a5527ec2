import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pod } from '#apis/core/pod.ts'
import { nextUser } from './users.ts'

const pod = (runAsUser?: number): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'x' },
  spec: { containers: [], ...(runAsUser !== undefined && { securityContext: { runAsUser } }) },
})

test('each guest has users that no other has, and the last given is the last to be given again', () => {
  const range = { first: 100, last: 107 }
  assert.equal(nextUser(range, [], undefined), 100)
  assert.equal(nextUser(range, [pod()], 100), 102)
  assert.equal(nextUser(range, [pod(102), pod(104)], 100), 106)
  assert.equal(nextUser(range, [pod(100)], 106), 102)
  assert.equal(nextUser(range, [], 106), 100)
  assert.equal(nextUser(range, [pod(100), pod(102), pod(104), pod(106)], 100), undefined)
  assert.equal(nextUser(range, [pod(100), pod(102), pod(104), pod(9)], 106), 106)
  assert.equal(nextUser({ first: 100, last: 100 }, [], undefined), undefined)
})
