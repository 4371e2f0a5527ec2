import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { virtualFunction } from '#kit/core/pci/functions.ts'
import { type Cluster, startCluster } from './cluster.ts'

const node = '/api/v1/nodes/node1'
const pools = '/api/v1/namespaces/kube-system/configmaps'

describe('the virtual functions of a node', () => {
  let cluster: Cluster
  let functions = [0, 1, 2].map((index) => virtualFunction(index))
  before(async () => {
    cluster = await startCluster({ agent: false })
    await cluster.startNode('node1', {
      functions: () => functions,
      leaseTimes: { durationSeconds: 40, renewMs: 50 },
    })
  })
  after(async () => {
    const errors = cluster?.errors ?? []
    await cluster?.stop()
    assert.deepEqual(errors, [])
  })

  it('are resources of it by the pools of a ConfigMap, beside its own, and change with it and with the host', async () => {
    const { api } = cluster
    const config = JSON.stringify({ resourceList: [{ resourceName: 'net', selectors: { pfNames: ['ens1f0#0-1'] } }] })
    await api.create(pools, { metadata: { name: 'sriovdp-config' }, data: { 'config.json': config } })
    await api.until('it has two', node, (one) => one?.status.allocatable['intel.com/net'] === '2')
    const { capacity } = (await api.get(node)).status
    assert.equal(capacity['intel.com/net'], '2')
    assert.equal(capacity.cpu, '2')
    functions = functions.slice(1)
    await api.until('it has one', node, (one) => one?.status.allocatable['intel.com/net'] === '1')
    await api.delete(`${pools}/sriovdp-config`)
    await api.until('it has none', node, (one) => !('intel.com/net' in one.status.capacity))
  })

  it('whose pools cannot be read are an Event of it', async () => {
    const { api } = cluster
    await api.create(pools, { metadata: { name: 'sriovdp-config' }, data: { 'config.json': '{}' } })
    await api.until('it is told', '/api/v1/namespaces/default/events', (list) =>
      list?.items.some(
        ({ reason, message, involvedObject }: Record<string, { kind?: string } & string>) =>
          reason === 'VirtualFunctionsUnusable' &&
          involvedObject?.kind === 'Node' &&
          message?.endsWith('config.json: resourceList: is no list of resources'),
      ),
    )
  })
})
