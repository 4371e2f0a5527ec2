import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pod } from '#apis/core/pod.ts'
import { PodAllocations } from './pod-allocations.ts'

const pod = (nodeName: string, memory: string, runAsUser?: number): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'x' },
  spec: {
    nodeName,
    containers: [{ name: 'compute', resources: { requests: { memory } } }],
    ...(runAsUser !== undefined && { securityContext: { runAsUser } }),
  } as Pod['spec'],
})

test('pods are added up by node and user as they come, change and go', () => {
  const allocations = new PodAllocations()
  allocations.set('default/a', pod('n1', '1Ki', 100))
  allocations.set('default/b', pod('n1', '2Ki', 102))
  allocations.set('default/b', pod('n1', '4Ki', 102))
  allocations.set('default/c', pod('n2', '8Ki', 102))
  allocations.set('default/d', pod('n2', '16Ki'))
  assert.deepEqual(allocations.allocatedOn('n1'), { pods: 2, bytes: 5 * 1024 })
  assert.deepEqual(allocations.allocatedOn('n2'), { pods: 2, bytes: 24 * 1024 })
  assert.deepEqual(
    [100, 102, 104].map((user) => allocations.users.has(user)),
    [true, true, false],
  )
  for (const key of ['a', 'b', 'd', 'unknown']) allocations.set(`default/${key}`, undefined)
  assert.deepEqual(allocations.allocatedOn('n1'), { pods: 0, bytes: 0 })
  assert.deepEqual(allocations.allocatedOn('n2'), { pods: 1, bytes: 8 * 1024 })
  // The other pod of a migration still runs as this one.
  assert.equal(allocations.users.has(102), true)
  allocations.set('default/c', undefined)
  assert.equal(allocations.users.size, 0)
})
