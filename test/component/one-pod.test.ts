import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { eventually } from '#base/wait.ts'
import { podsPath, vmisPath } from './api.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { makeNamespace, podOf, run, vm } from './manifests.ts'

describe('the pod of an instance', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster()
  })
  after(() => cluster?.stop())

  /** Watches the pods of a namespace from its beginning; `seen` grows as lines come. */
  async function watchPods(ns: string) {
    const watch = await cluster.api.watch(`${podsPath(ns)}?watch=1`)
    const seen: string[] = []
    const read = async () => {
      for (let line = await watch.next(); line; line = await watch.next())
        if (line.type !== 'MODIFIED') seen.push(`${line.type} ${line.object.metadata.name}`)
    }
    void read()
    return { seen, close: () => watch.close() }
  }

  it('is made once by one start, and its agent leaves it alone', async () => {
    const ns = await makeNamespace(cluster.api)
    const { seen, close } = await watchPods(ns)
    try {
      const names = ['a', 'b', 'c', 'd', 'e', 'f']
      await Promise.all(names.map((name) => run(cluster.api, ns, vm(name))))
      const pods = await cluster.api.list(podsPath(ns))
      assert.equal(pods.length, names.length)
      await eventually('every pod is seen', () => seen.length >= names.length)
      assert.deepEqual(seen.toSorted(), pods.map(({ metadata }) => `ADDED ${metadata.name}`).toSorted())
      for (const name of names) {
        const { status } = await cluster.api.get(vmisPath(ns, name))
        const { metadata } = await podOf(cluster.api, ns, name)
        assert.deepEqual(status.activePods, { [metadata.uid]: 'node1' })
      }
    } finally {
      close()
    }
  })

  it('of a migration is made once too', async () => {
    const ns = await makeNamespace(cluster.api)
    await run(cluster.api, ns, vm('a'))
    const { seen, close } = await watchPods(ns)
    try {
      const path = `/apis/kubevirt.io/v1/namespaces/${ns}/virtualmachineinstancemigrations`
      await cluster.api.create(path, {
        apiVersion: 'kubevirt.io/v1',
        kind: 'VirtualMachineInstanceMigration',
        metadata: { name: 'm' },
        spec: { vmiName: 'a' },
      })
      await cluster.api.until('it has moved', `${path}/m`, (one) => one.status?.phase === 'Succeeded')
      await eventually('the pod that was left is gone', () => seen.some((line) => line.startsWith('DELETED')))
      const [first, target] = seen.filter((line) => line.startsWith('ADDED'))
      assert.equal(seen.length, 3, seen.join())
      assert.notEqual(first, target)
      assert.equal(seen[2], first?.replace('ADDED', 'DELETED'))
    } finally {
      close()
    }
  })
})
