import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { vmsPath } from './api.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { makeNamespace, run, statePatch, vm } from './manifests.ts'

describe('metrics', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster()
  })
  after(() => cluster?.stop())

  it('are there for whoever may read them, and show a link go down', async () => {
    const ns = await makeNamespace(cluster.api)
    await run(cluster.api, ns, vm('a'))
    const line = `patchbay_vmi_link_up{node="node1",namespace="${ns}",name="a",interface="default"}`
    const page = async () => (await cluster.api.send('GET', '/metrics')).text
    assert.ok((await page()).includes(`${line} 1`))
    await cluster.api.patch(vmsPath(ns, 'a'), statePatch(['down']))
    await cluster.api.until('down', vmsPath(ns, 'a').replace('virtualmachines', 'virtualmachineinstances'), (vmi) =>
      vmi.status.interfaces.some((one: { linkState: string }) => one.linkState === 'down'),
    )
    assert.ok((await page()).includes(`${line} 0`))
    const monitoring = await cluster.as('prometheus', ['system:monitoring'])
    assert.equal((await monitoring.send('GET', '/metrics')).code, 200)
    assert.equal((await (await cluster.as('jane', [])).send('GET', '/metrics')).code, 403)
    assert.equal((await cluster.anonymous.send('GET', '/metrics')).code, 401)
  })
})
