import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { type Any, vmisPath, vmsPath } from './api.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { condition, makeNamespace, run, running, vm } from './manifests.ts'

describe('a required affinity', () => {
  let cluster: Cluster
  let ns: string
  before(async () => {
    cluster = await startCluster()
    ns = await makeNamespace(cluster.api)
  })
  after(() => cluster?.stop())

  const node = '/api/v1/nodes/node1'
  const placed = (name: string, spec: Any): Any => {
    const made = vm(name)
    made.spec.template.metadata = { labels: { app: name } }
    Object.assign(made.spec.template.spec, spec)
    return made
  }
  const zone = (value: string) => ({
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: [{ matchExpressions: [{ key: 'zone', operator: 'In', values: [value] }] }],
      },
    },
  })
  const waits = async (name: string, why: RegExp) => {
    await cluster.api.until(`${name} waits`, vmisPath(ns, name), (one) => {
      const { reason, message } = condition(one, 'PodScheduled') ?? {}
      return one?.status.phase === 'Pending' && reason === 'Unschedulable' && why.test(message)
    })
    const says = (one: Any) => one?.status?.printableStatus === 'ErrorUnschedulable'
    await cluster.api.until(`the VM ${name} says so`, vmsPath(ns, name), says)
  }

  it('that no node meets keeps an instance pending until a node does', async () => {
    await cluster.api.create(vmsPath(ns), placed('mars', { affinity: zone('mars') }))
    await waits('mars', /^0\/1 nodes are available: 1 node\(s\) didn't match Pod's node affinity\/selector/)
    await cluster.api.patch(node, { metadata: { labels: { zone: 'mars' } } })
    const { status } = await running(cluster.api, ns, 'mars')
    assert.equal(condition({ status }, 'PodScheduled'), undefined)
  })

  it('to other pods is met as soon as one of them comes, and anti-affinity by both sides', async () => {
    const terms = (app: string) => ({
      requiredDuringSchedulingIgnoredDuringExecution: [
        { labelSelector: { matchLabels: { app } }, topologyKey: 'kubernetes.io/hostname' },
      ],
    })
    await cluster.api.create(vmsPath(ns), placed('web', { affinity: { podAffinity: terms('db') } }))
    await waits('web', /1 node\(s\) didn't match pod affinity rules/)
    await run(cluster.api, ns, placed('db', { affinity: { podAntiAffinity: terms('batch') } }))
    await running(cluster.api, ns, 'web')
    await cluster.api.create(vmsPath(ns), placed('batch', {}))
    await waits('batch', /1 node\(s\) didn't satisfy existing pods anti-affinity rules/)
    await cluster.api.delete(vmsPath(ns, 'db'))
    await running(cluster.api, ns, 'batch')
  })

  it('is no help against a taint that is not tolerated', async () => {
    await cluster.api.patch(node, { spec: { taints: [{ key: 'gpu', value: 'yes', effect: 'NoSchedule' }] } })
    await cluster.api.create(vmsPath(ns), placed('tainted', { affinity: zone('mars') }))
    await waits('tainted', /1 node\(s\) had untolerated taint \{gpu: yes\}/)
    await run(cluster.api, ns, placed('tolerant', { tolerations: [{ key: 'gpu', operator: 'Exists' }] }))
    await cluster.api.patch(node, { spec: { taints: null } })
    await running(cluster.api, ns, 'tainted')
    assert.deepEqual(cluster.errors, [])
  })
})
