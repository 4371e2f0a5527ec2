import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { eventually } from '#base/wait.ts'
import { type Any, podsPath, vmisPath, vmsPath } from './api.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { Kubectl, noKubectl } from './kubectl.ts'
import { makeNamespace, run, vm } from './manifests.ts'

const evicting = (evictionStrategy: string | undefined, name = 'a'): Any => {
  const made = vm(name)
  if (evictionStrategy) made.spec.template.spec.evictionStrategy = evictionStrategy
  return made
}

describe('draining a node', { skip: noKubectl }, () => {
  let cluster: Cluster
  let node: string
  before(async () => {
    cluster = await startCluster()
    node = (await cluster.api.list('/api/v1/nodes'))[0].metadata.name
  })
  after(() => cluster?.stop())

  /** A namespace of its own with a VM that runs, and kubectl in it. */
  const start = async (strategy: string | undefined) => {
    const ns = await makeNamespace(cluster.api)
    await run(cluster.api, ns, evicting(strategy))
    const [pod] = await cluster.api.list(podsPath(ns))
    return { ns, pod: pod.metadata.name as string, uid: pod.metadata.uid as string, k: new Kubectl(cluster.dir, ns) }
  }
  const evict = (ns: string, pod: string, deleteOptions?: Any) =>
    cluster.api.send('POST', `${podsPath(ns)}/${pod}/eviction`, {
      body: { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: pod, namespace: ns }, deleteOptions },
    })
  const drain = (k: Kubectl, ...more: string[]) =>
    k.run(['drain', node, '--pod-selector', 'kubevirt.io=virt-launcher', '--delete-emptydir-data', ...more])
  const uncordon = (k: Kubectl) => k.ok(`uncordon ${node}`)
  const vmi = async (ns: string): Promise<Any> => (await cluster.api.send('GET', vmisPath(ns, 'a'))).json

  it('shuts guests without a strategy down, and starts them nowhere until there is a node again', async () => {
    const { ns, k, uid } = await start(undefined)
    const { code, out, err } = await drain(k, '--timeout=30s')
    assert.equal(code, 0, err)
    assert.match(out, /evicting pod|evicted/)
    const ended = await cluster.api.until(
      'it waits for a node',
      vmsPath(ns, 'a'),
      (one) => one.status?.printableStatus === 'ErrorUnschedulable',
    )
    assert.equal(ended.status.ready, false)
    await uncordon(k)
    const again = await cluster.api.until('it runs again', vmisPath(ns, 'a'), (one) => one.status?.phase === 'Running')
    assert.ok(!Object.keys(again.status.activePods).includes(uid))
    await k.ok('delete vm a')
  })

  it('is refused for a guest that is to move and has nowhere to go, and leaves it alone', async () => {
    const { ns, pod, k, uid } = await start('LiveMigrate')
    const { code, err } = await drain(k, '--timeout=6s')
    assert.notEqual(code, 0)
    assert.match(
      err,
      /VMI "t\d+\/a" is to be live-migrated and no other node can take it: 0\/1 nodes are available: 1 node\(s\) were unschedulable; /,
    )
    const { code: refused, json } = await evict(ns, pod)
    assert.deepEqual(
      [refused, json.reason, json.details.causes[0].reason],
      [429, 'TooManyRequests', 'DisruptionBudget'],
    )
    const now = await vmi(ns)
    assert.deepEqual([now.status.phase, Object.keys(now.status.activePods)], ['Running', [uid]])
    assert.equal(now.status.evacuationNodeName, undefined)
    await uncordon(k)
    assert.match((await evict(ns, pod)).json.message, /no other node can take it: none of them fits it; stop the VM/)
    await k.ok('delete vm a')
  })

  it('has guests that can move moved to another node, once, and is refused until they have left', async () => {
    const { ns, pod, k } = await start('LiveMigrate')
    const other = await cluster.startNode('other')
    for (let i = 0; i < 2; i++) {
      const { code, json } = await evict(ns, pod)
      assert.deepEqual([code, json.message], [429, `Eviction triggered evacuation of VMI "${ns}/a"`])
    }
    assert.equal((await vmi(ns)).status.evacuationNodeName, node)
    const target = await eventually('a pod for it is made on the other node', async () =>
      (await cluster.api.list(podsPath(ns))).find((one: Any) => one.spec.nodeName === 'other'),
    )
    assert.equal(target.metadata.labels['kubevirt.io'], 'virt-launcher')
    assert.equal((await k.ok('get vmim -o name')).match(/kubevirt-evacuation-/g)?.length, 1)
    await k.ok('delete vm a --wait=false')
    await other.stop()
    await k.ok('delete node other')
  })

  it('says what it would do, and does not do it', async () => {
    const { ns, pod, uid } = await start(undefined)
    const { code, json } = await evict(ns, pod, { dryRun: ['All'] })
    assert.deepEqual([code, json.status], [201, 'Success'])
    const now = await vmi(ns)
    assert.deepEqual([now.metadata.deletionTimestamp, Object.keys(now.status.activePods)], [undefined, [uid]])
  })

  it('asks for an eviction of a pod that is there', async () => {
    const ns = await makeNamespace(cluster.api)
    const { code, json } = await evict(ns, 'nothing')
    assert.deepEqual([code, json.message], [404, 'pods "nothing" not found'])
  })
})
