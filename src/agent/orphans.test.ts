import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { Pod } from '#apis/core/pod.ts'
import { Fault } from '#base/fault.ts'
import { eventually } from '#base/wait.ts'
import type { FoundSandbox } from '#core/ports.ts'
import { openApi } from '#kit/server/memory-api.ts'
import { makeInformer } from '#machinery/client/informer.ts'
import { startOrphans } from './orphans.ts'

const own = { node: 'n', cluster: 'c', revision: '1' }

/** A host with sandboxes, and the pods of its node. A round over all of them comes when a test asks for it. */
async function open(t: TestContext, sandboxes: Readonly<Record<string, FoundSandbox['owner']>>) {
  const { client, options, events, recorder, stopping } = await openApi(t)
  const found = new Map(
    Object.entries(sandboxes).map(([uid, owner]) => [
      uid,
      { uid, namespace: 'ns', name: `pod-${uid}`, ...(owner && { owner }) } as FoundSandbox,
    ]),
  )
  const host = { removed: [] as string[], disowned: [] as string[], notUndone: [] as string[], failures: [] as Fault[] }
  const pods = makeInformer(
    client,
    Pod,
    { fieldSelector: 'spec.nodeName=n' },
    { ...options, indexes: { byUid: (pod: Pod) => [pod.metadata.uid ?? ''] } },
  )
  const makePod = async (nodeName: string, finalizers: string[] = []) => {
    const metadata = { namespace: 'ns', name: `on-${nodeName}`, finalizers }
    const spec = { nodeName, containers: [] }
    const pod = await client.create(Pod, { apiVersion: 'v1', kind: 'Pod', metadata, spec })
    found.set(pod.metadata.uid, { uid: pod.metadata.uid, namespace: 'ns', name: pod.metadata.name, owner: own })
    if (nodeName === 'n') await eventually('it is seen', async () => pods.indexed('byUid', pod.metadata.uid).length)
    return pod
  }
  const self = { node: 'n', cluster: 'c' }
  const start = async (cache: Pick<typeof pods, 'indexed' | 'onChange'> = pods) => {
    await pods.synced
    const orphans = stopping(
      startOrphans({
        ...{ client, self, recorder, ...options, everyMs: 20 },
        pods: cache as typeof pods,
        sandboxes: {
          list: async () => [...found.values()],
          disown: async (uid) => {
            host.disowned.push(uid)
            const { owner: _, ...rest } = found.get(uid)!
            found.set(uid, rest)
          },
          remove: async (uid) => {
            const failure = host.failures.shift()
            if (failure) throw failure
            host.removed.push(uid)
            found.delete(uid)
            return host.notUndone
          },
        },
      }),
    )
    return orphans
  }
  /** Another round over all of them has passed. */
  const round = async () => {
    found.set('later', { uid: 'later', namespace: 'ns', name: 'later', owner: own })
    await eventually('another round has passed', async () => !found.has('later'))
  }
  return { ...{ client, events, host, found, makePod, start, round } }
}

test('a sandbox of this node without a pod is removed; one whose pod is there is not', async (t) => {
  const { start, makePod, host, round } = await open(t, { a: own, b: own })
  const { metadata } = await makePod('n')
  const orphans = await start()
  await eventually('both are removed', async () => host.removed.length >= 2)
  await round()
  assert.deepEqual([host.removed.toSorted(), orphans.left()], [['a', 'b', 'later'], 0])
  assert.ok(!host.removed.includes(metadata.uid))
})

test('a pod that the cache does not have proves nothing: the server is asked before a sandbox is removed', async (t) => {
  const { start, makePod, host, round } = await open(t, { a: own })
  const { metadata } = await makePod('n')
  await start({ indexed: () => [], onChange: () => () => undefined })
  await round()
  assert.ok(host.removed.includes('a') && !host.removed.includes(metadata.uid))
})

for (const [what, owner, reason] of [
  ['of another cluster', { ...own, cluster: 'd' }, /was made for another cluster \(d\)/],
  ['of another node', { ...own, node: 'm' }, /was made for another node \(m\)/],
  ['that does not say whose it is', undefined, /does not say which cluster it was made for/],
  ['that is younger than the store', { ...own, revision: '99999' }, /the store, which is an older copy/],
] as const)
  test(`a sandbox ${what} is left alone, counted and reported once`, async (t) => {
    const { start, host, events, round } = await open(t, { left: owner, goes: own })
    const orphans = await start()
    await eventually('the other one is removed', async () => host.removed.includes('goes'))
    await eventually('it is counted', async () => orphans.left() === 1)
    await round()
    assert.deepEqual(host.removed, ['goes', 'later'])
    assert.equal(events.length, 1)
    assert.match(events[0] ?? '', /^n SandboxLeft: Sandbox left \(ns\/pod-left\) has no pod, and /)
    assert.match(events[0] ?? '', reason)
    assert.deepEqual(host.disowned, what.includes('younger') ? ['left'] : [])
  })

test('one that was left alone is no longer counted when it is gone', async (t) => {
  const { start, found } = await open(t, { left: undefined })
  const orphans = await start()
  await eventually('it is counted', async () => orphans.left() === 1)
  found.delete('left')
  await eventually('it is not counted', async () => orphans.left() === 0)
})

test('the sandbox of a pod whose finalizer was taken away by hand is removed when the pod goes', async (t) => {
  const { client, start, makePod, host } = await open(t, {})
  const { metadata } = await makePod('n')
  await start()
  await client.delete(Pod, metadata)
  await eventually('its sandbox is removed', async () => host.removed.includes(metadata.uid))
})

test('what cannot be removed is reported and tried again; so is what its plugins could not undo', async (t) => {
  const { start, host, events } = await open(t, { a: own })
  host.failures.push(new Fault('Unavailable', 'the plugin is gone'))
  host.notUndone.push('the lease of 10.0.0.5 stays')
  await start()
  await eventually('it is removed', async () => host.removed.includes('a'))
  await eventually('both are reported', async () => events.length === 2)
  assert.deepEqual(events, [
    'n FailedKillPod: The sandbox of the deleted pod ns/pod-a cannot be removed, and is tried again: the plugin is gone',
    'n FailedKillPod: The sandbox of the deleted pod ns/pod-a was removed, but not all was undone that CNI plugins did: the lease of 10.0.0.5 stays',
  ])
})
