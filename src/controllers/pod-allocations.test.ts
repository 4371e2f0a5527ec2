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

/** What pods use of a node beside its devices. */
function usedOf(allocations: PodAllocations, node: string) {
  const { devices: _, ...used } = allocations.allocatedOn(node)
  return used
}

test('devices of the host are added up by node and resource', () => {
  const allocations = new PodAllocations()
  const of = (count: string) => {
    const one = pod('n1', '1Ki')
    const requests = { memory: '1Ki', 'intel.com/net': count }
    return { ...one, spec: { ...one.spec, containers: [{ name: 'compute', resources: { requests } }] } } as Pod
  }
  allocations.set('default/a', of('2'))
  allocations.set('default/b', of('1'))
  assert.deepEqual([...allocations.allocatedOn('n1').devices], [['intel.com/net', 3]])
  allocations.set('default/a', undefined)
  assert.deepEqual([...allocations.allocatedOn('n1').devices], [['intel.com/net', 1]])
  assert.deepEqual([...allocations.allocatedOn('n2').devices], [])
})

test('pods are added up by node and user as they come, change and go', () => {
  const allocations = new PodAllocations()
  allocations.set('default/a', pod('n1', '1Ki', 100))
  allocations.set('default/b', pod('n1', '2Ki', 102))
  allocations.set('default/b', pod('n1', '4Ki', 102))
  allocations.set('default/c', pod('n2', '8Ki', 102))
  allocations.set('default/d', pod('n2', '16Ki'))
  assert.deepEqual(usedOf(allocations, 'n1'), { pods: 2, bytes: 5 * 1024 })
  assert.deepEqual(usedOf(allocations, 'n2'), { pods: 2, bytes: 24 * 1024 })
  assert.deepEqual(
    [100, 102, 104].map((user) => allocations.users.has(user)),
    [true, true, false],
  )
  for (const key of ['a', 'b', 'd', 'unknown']) allocations.set(`default/${key}`, undefined)
  assert.deepEqual(usedOf(allocations, 'n1'), { pods: 0, bytes: 0 })
  assert.deepEqual(usedOf(allocations, 'n2'), { pods: 1, bytes: 8 * 1024 })
  // The other pod of a migration still runs as this one.
  assert.equal(allocations.users.has(102), true)
  allocations.set('default/c', undefined)
  assert.equal(allocations.users.size, 0)
})
