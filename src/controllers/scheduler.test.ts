import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Node } from '#apis/core/node.ts'
import type { Pod } from '#apis/core/pod.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Stored } from '#apis/meta/object.ts'
import { Fault } from '#base/fault.ts'
import { launcherPod } from '#core/vm/launcher.ts'
import { Scheduler } from './scheduler.ts'

const vmi = (name: string): VirtualMachineInstance =>
  ({
    metadata: { namespace: 'ns', name, uid: name },
    spec: { domain: { memory: { guest: '64Mi' }, devices: {} } },
  }) as unknown as VirtualMachineInstance

/** Nodes of one pod each, and a cache of pods that changes when a test says so. */
function open(names: readonly string[]) {
  const nodes = names.map((name) => ({
    metadata: { name },
    status: { conditions: [{ type: 'Ready', status: 'True' }], allocatable: { pods: '1' } },
  })) as unknown as Stored<Node>[]
  const cache = new Map<string, Stored<Pod>>()
  let report: (now: Stored<Pod> | undefined, before: Stored<Pod> | undefined) => void = () => undefined
  const scheduler = new Scheduler(
    { list: () => nodes },
    {
      get: ({ name }) => cache.get(name),
      onChange: (listener) => {
        report = listener
        return () => undefined
      },
    },
  )
  const place = (name: string) => {
    const found = scheduler.find(vmi(name))
    return 'node' in found ? found.node.metadata.name : found.why
  }
  const podOf = (name: string, nodeName: string) => launcherPod(vmi(name), { nodeName, user: 1000 })
  const put = (name: string, node: string, create: () => Promise<unknown> = async () => undefined) =>
    scheduler.put(podOf(name, node), create as () => Promise<Stored<Pod>>)
  const see = (name: string, node: string | undefined) => {
    const pod = podOf(name, node ?? 'n1') as unknown as Stored<Pod>
    const before = cache.get(pod.metadata.name)
    if (node) cache.set(pod.metadata.name, pod)
    else cache.delete(pod.metadata.name)
    report(node ? pod : undefined, before ?? pod)
  }
  return { scheduler, place, put, see }
}

test('a pod counts from the moment it is being created, so that the next one goes elsewhere', async () => {
  const { place, put, scheduler } = open(['n1', 'n2'])
  assert.equal(place('a'), 'n1')
  const { promise, resolve } = Promise.withResolvers<void>()
  const creating = put('a', 'n1', () => promise)
  assert.equal(place('b'), 'n2')
  assert.equal(scheduler.users.has(1000), true)
  resolve()
  await creating
  assert.equal(place('b'), 'n2', 'the cache does not have it yet')
})

test('a pod that cannot be created gives its place and its user back', async () => {
  const { place, put, scheduler } = open(['n1'])
  await assert.rejects(
    put('a', 'n1', async () => {
      throw new Fault('Forbidden', 'quota')
    }),
    { kind: 'Forbidden' },
  )
  assert.deepEqual([place('a'), scheduler.users.size], ['n1', 0])
})

test('one that is there already keeps the place it has', async () => {
  const { place, put, see } = open(['n1', 'n2'])
  see('a', 'n2')
  await assert.rejects(
    put('a', 'n1', async () => {
      throw new Fault('AlreadyExists', 'it is there')
    }),
  )
  assert.equal(place('b'), 'n1')
})

test('pods that the cache brings and takes are counted; a full cluster says why', () => {
  const { place, see } = open(['n1', 'n2'])
  see('a', 'n1')
  see('b', 'n2')
  assert.match(place('c'), /^0\/2 nodes are available: 2 Too many pods/)
  see('a', undefined)
  assert.equal(place('c'), 'n1')
})
