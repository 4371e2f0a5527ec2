import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { SimSandboxes } from '#drivers/sim/sandboxes.ts'
import { type Any, vmisPath, vmsPath } from './api.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { condition, makeNamespace, podOf, run, vm } from './manifests.ts'

const leasePath = (name = '') => `/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases${name && `/${name}`}`
const nodePath = (name: string) => `/api/v1/nodes/${name}`

describe('the lease of a node', () => {
  let cluster: Cluster
  let ns: string
  before(async () => {
    cluster = await startCluster()
    ns = await makeNamespace(cluster.api)
  })
  after(() => cluster?.stop())

  it("is renewed by its agent, with Kubernetes' times", async () => {
    const { spec } = await cluster.api.get(leasePath('node1'))
    assert.equal(spec.holderIdentity, 'node1')
    assert.equal(spec.leaseDurationSeconds, 40)
    assert.match(spec.renewTime, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/)
    const quick = await cluster.startNode('quick', { leaseTimes: { durationSeconds: 40, renewMs: 20 } })
    const first = await cluster.api.get(leasePath('quick'))
    const node = await cluster.api.get(nodePath('quick'))
    await cluster.api.until(
      'it is renewed',
      leasePath('quick'),
      (one) => one.spec.renewTime !== first.spec.renewTime && one.metadata.uid === first.metadata.uid,
    )
    // Saying again what is known costs nothing.
    assert.equal((await cluster.api.get(nodePath('quick'))).metadata.resourceVersion, node.metadata.resourceVersion)
    await cluster.api.delete(nodePath('quick'))
    await cluster.api.until('a node that was deleted comes back', nodePath('quick'), (one) => condition(one, 'Ready'))
    await quick.stop()
    await cluster.api.delete(nodePath('quick'))
  })

  it('that expires makes the node and its instances not ready; the return of its agent heals all of it', async () => {
    const sandboxes = new SimSandboxes()
    const leaseTimes = { durationSeconds: 1, renewMs: 100 }
    const on2 = (name: string): Any => {
      const made = vm(name)
      made.spec.template.spec.nodeSelector = { 'kubernetes.io/hostname': 'node2' }
      return made
    }
    const agent = await cluster.startNode('node2', { sandboxes, leaseTimes })
    await run(cluster.api, ns, on2('a'))
    await run(cluster.api, ns, vm('beside'))
    const { uid } = (await podOf(cluster.api, ns, 'a')).metadata
    await agent.stop()
    const silent = await cluster.api.until(
      'node2 is unknown',
      nodePath('node2'),
      (one) => condition(one, 'Ready').status === 'Unknown',
    )
    const { reason, message } = condition(silent, 'Ready')
    assert.deepEqual([reason, message], ['NodeStatusUnknown', 'patchbay agent stopped posting node status.'])
    const vmi = await cluster.api.until(
      'the instance is not ready',
      vmisPath(ns, 'a'),
      (one) => condition(one, 'Ready').status === 'False',
    )
    assert.equal(
      condition(vmi, 'Ready').message,
      'node "node2" is not ready: patchbay agent stopped posting node status.',
    )
    assert.equal(vmi.status.phase, 'Running')
    await cluster.api.until('its VM too', vmsPath(ns, 'a'), (one) => condition(one, 'Ready').status === 'False')
    assert.equal(condition(await cluster.api.get(vmisPath(ns, 'beside')), 'Ready').status, 'True')
    await cluster.api.create(vmsPath(ns), on2('b'))
    await cluster.api.until(
      'nothing is placed there',
      vmisPath(ns, 'b'),
      (one) => one && condition(one, 'PodScheduled')?.reason === 'Unschedulable',
    )
    const back = await cluster.startNode('node2', { sandboxes, leaseTimes })
    for (const name of ['a', 'b'])
      await cluster.api.until(
        `${name} is ready`,
        vmisPath(ns, name),
        (one) => condition(one, 'Ready').status === 'True',
      )
    assert.equal(condition(await cluster.api.get(nodePath('node2')), 'Ready').status, 'True')
    assert.equal(sandboxes.starts(uid), 1)
    for (const name of ['a', 'b']) {
      await cluster.api.delete(vmsPath(ns, name))
      await cluster.api.until(`${name} is gone`, vmsPath(ns, name), (one) => one === undefined)
    }
    await back.stop()
    assert.deepEqual(cluster.errors, [])
  })

  it('is the only one its agent may touch', async () => {
    const own = await cluster.as('system:node:node1', ['system:nodes'])
    const lease = (name: string) => ({ apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name } })
    await cluster.api.create(leasePath(), lease('other'))
    const defaults = leasePath().replace('kube-node-lease', 'default')
    await cluster.api.create(defaults, lease('node1'))
    const change = { spec: { holderIdentity: 'x' } }
    for (const [method, path, body] of [
      ['GET', leasePath('other'), undefined],
      ['PATCH', leasePath('other'), change],
      ['DELETE', leasePath('other'), undefined],
      ['POST', leasePath(), lease('third')],
      ['GET', `${defaults}/node1`, undefined],
      ['PATCH', `${defaults}/node1`, change],
      ['DELETE', `${defaults}/node1`, undefined],
      ['POST', defaults, lease('leader')],
      ['DELETE', defaults, undefined],
      ['GET', leasePath(), undefined],
    ] as const) {
      const type = method === 'PATCH' ? 'application/merge-patch+json' : undefined
      const { code } = await own.send(method, path, { body, ...(type && { type }) })
      assert.equal(code, 403, `${method} ${path}`)
    }
    await own.patch(leasePath('node1'), { metadata: { labels: { mine: 'yes' } } })
    assert.equal((await own.send('DELETE', leasePath('node1'))).code, 200)
    const made = await own.send('POST', leasePath(), { body: lease('node1') })
    assert.equal(made.code, 201, made.text)
  })

  it('is in a namespace that is never deleted', async () => {
    assert.equal((await cluster.api.send('DELETE', '/api/v1/namespaces/kube-node-lease')).code, 403)
  })
})
