import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pod } from '#apis/core/pod.ts'
import type { ResourceQuota } from '#apis/core/resourcequota.ts'
import { podAmounts, unsaid } from './amounts.ts'
import { growth, quotaRefusal, quotaStatus } from './judge.ts'
import { namespaceRefusal } from './namespace.ts'

type Resources = Readonly<{ requests?: Record<string, string>; limits?: Record<string, string> }>
const pod = (containers: readonly Resources[], phase: 'Running' | 'Failed' = 'Running'): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p' },
  spec: { containers: containers.map((resources, i) => ({ name: `c${i}`, resources })) },
  status: { phase },
})
const quota = (name: string, hard: Record<string, string>): ResourceQuota => ({
  apiVersion: 'v1',
  kind: 'ResourceQuota',
  metadata: { name },
  spec: { hard },
})

test('a pod takes what its containers ask for, or else what they are limited to', () => {
  const both = pod([{ requests: { cpu: '100m' }, limits: { cpu: '1' } }, { limits: { cpu: '500m', memory: '1Ki' } }])
  assert.deepEqual(podAmounts(both), {
    pods: 1000n,
    cpu: 600n,
    'requests.cpu': 600n,
    'limits.cpu': 1500n,
    memory: 1_024_000n,
    'requests.memory': 1_024_000n,
    'limits.memory': 1_024_000n,
  })
  assert.deepEqual(podAmounts(pod([{ limits: { cpu: '1' } }], 'Failed')), {})
  assert.equal(
    unsaid(both, ['pods', 'limits.memory', 'memory', 'limits.cpu']),
    'must specify limits.memory for: c0; memory for: c0',
  )
})

test('whatever containers hold is counted or left out, and nothing counts as less than nothing', () => {
  for (const resources of [
    null,
    5,
    'x',
    [],
    { limits: null },
    { requests: 7 },
    { limits: { cpu: {}, memory: 'much' } },
  ]) {
    assert.deepEqual(podAmounts(pod([resources as unknown as Resources])), { pods: 1000n })
  }
  assert.deepEqual(podAmounts(pod([{ requests: { cpu: '-5' } }])), { pods: 1000n, cpu: 0n, 'requests.cpu': 0n })
})

test('only what grows is held against a quota, and the first quota by name that is exceeded is told', () => {
  const used = (resource: string) => (resource === 'cpu' ? 3000n : 0n)
  const more = growth({ cpu: 2000n, memory: 500n, pods: 0n }, { cpu: 1000n, memory: 500n })
  assert.deepEqual(more, { cpu: 1000n })
  const small = quota('a', { cpu: '3500m', memory: '0' })
  assert.equal(
    quotaRefusal(pod([]), more, [quota('0', { cpu: '4' }), small], used),
    'exceeded quota: a, requested: cpu=1, used: cpu=3, limited: cpu=3500m',
  )
  assert.equal(quotaRefusal(pod([]), {}, [quota('b', { cpu: '1' })], used), undefined)
  assert.deepEqual(quotaStatus(small, used), { hard: { cpu: '3500m', memory: '0' }, used: { cpu: '3', memory: '0' } })
})

test('a namespace that is full still takes what the server writes, what is small, and what shrinks', () => {
  const limits = { objects: 2, bytes: 100_000 }
  const full = { objects: 2, bytes: 100_000 }
  const write = { metadata: { name: 'x', namespace: 'n' }, groups: ['dev'], bytes: 50_000, before: undefined }
  assert.match(namespaceRefusal(write, full, limits) ?? '', /--namespace-objects/)
  assert.match(namespaceRefusal({ ...write, before: 40_000 }, full, limits) ?? '', /--namespace-bytes/)
  assert.equal(namespaceRefusal({ ...write, before: 50_000 }, full, limits), undefined)
  assert.equal(namespaceRefusal({ ...write, bytes: 16_000, before: 10 }, full, limits), undefined)
  assert.equal(namespaceRefusal({ ...write, groups: ['patchbay:system'] }, full, limits), undefined)
  assert.equal(namespaceRefusal({ ...write, groups: ['system:nodes'] }, full, limits), undefined)
  assert.equal(
    namespaceRefusal({ ...write, metadata: { name: 'x', namespace: 'kube-system' } }, full, limits),
    undefined,
  )
})
