import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { type Any, vmsPath } from './api.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { makeNamespace, run, vm } from './manifests.ts'

const kubevirt = '/apis/kubevirt.io/v1/namespaces/kubevirt/kubevirts/kubevirt'
const merge = 'application/merge-patch+json'

describe('a VM that a later rule forbids', () => {
  let cluster: Cluster
  let ns: string
  before(async () => {
    cluster = await startCluster()
    ns = await makeNamespace(cluster.api)
    const bridged = vm('a')
    bridged.spec.template.spec.domain.devices.interfaces = [{ name: 'default', bridge: {} }]
    await permit(true)
    await run(cluster.api, ns, bridged)
    await permit(false)
  })
  after(() => cluster?.stop())

  async function permit(permitBridgeInterfaceOnPodNetwork: boolean): Promise<void> {
    const spec = { configuration: { network: { permitBridgeInterfaceOnPodNetwork } } }
    const { code } = await cluster.api.send('PATCH', kubevirt, { type: merge, body: { spec } })
    assert.equal(code, 200)
  }
  const patch = (body: Any) => cluster.api.send('PATCH', vmsPath(ns, 'a'), { type: merge, body })

  it('takes labels, and no change of its spec that leaves it forbidden', async () => {
    assert.equal((await patch({ metadata: { labels: { team: 'x' } } })).code, 200)
    const { code, json } = await patch({ spec: { runStrategy: 'Manual' } })
    assert.equal(code, 422)
    assert.match(json.message, /Bridge on pod network configuration is not enabled/)
  })

  it('ends when it is deleted, and so does its namespace', async () => {
    await cluster.api.send('DELETE', `/api/v1/namespaces/${ns}`)
    await cluster.api.until('the VM is gone', vmsPath(ns, 'a'), (one) => one === undefined)
    await cluster.api.until('the namespace is gone', `/api/v1/namespaces/${ns}`, (one) => one === undefined)
  })
})
