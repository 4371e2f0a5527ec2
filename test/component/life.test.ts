import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { eventually } from '#base/wait.ts'
import { podsPath, vmisPath, vmsPath } from './api.ts'
import { type Cluster, type Ground, makeGround, startCluster, startOn } from './cluster.ts'
import { condition, linkStates, makeNamespace, podOf, run, running, statePatch, vm } from './manifests.ts'

describe('the life of a VM', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster()
  })
  after(() => cluster?.stop())

  const sandboxesIn = async (ns: string) => (await cluster.sandboxes.list()).filter(({ namespace }) => namespace === ns)
  const strategy = (runStrategy: string) => vm('a', [], { runStrategy })

  it('begins with an instance and a pod that belong to it', async () => {
    const { api } = cluster
    const ns = await makeNamespace(api)
    const vmi = await run(api, ns, vm('a'))
    const { metadata } = await api.get(vmsPath(ns, 'a'))
    assert.deepEqual(
      vmi.metadata.ownerReferences.map((one: { uid: string }) => one.uid),
      [metadata.uid],
    )
    const pod = await podOf(api, ns, 'a')
    assert.equal(pod.metadata.ownerReferences[0].uid, vmi.metadata.uid)
    assert.deepEqual(vmi.status.activePods, { [pod.metadata.uid]: 'node1' })
    const networkStatus = JSON.parse(pod.metadata.annotations['k8s.v1.cni.cncf.io/network-status'])
    assert.deepEqual(
      networkStatus.map((one: { interface: string }) => one.interface),
      ['eth0'],
    )
  })

  const endings = [
    ['Always', 'shutdown', 'Running'],
    ['Always', 'crashed', 'Running'],
    ['RerunOnFailure', 'crashed', 'Running'],
    ['RerunOnFailure', 'shutdown', 'Stopped'],
    ['Once', 'crashed', 'Stopped'],
  ] as const
  for (const [runStrategy, end, status] of endings)
    it(`with runStrategy ${runStrategy} is ${status} after a guest that ended by ${end}`, async () => {
      const { api, sandboxes } = cluster
      const ns = await makeNamespace(api)
      const first = await run(api, ns, strategy(runStrategy))
      const pod = await podOf(api, ns, 'a')
      sandboxes.endGuest(pod.metadata.uid, end)
      if (status === 'Running') {
        await api.until(
          'another instance runs',
          vmisPath(ns, 'a'),
          (one) => one && one.metadata.uid !== first.metadata.uid && one.status?.phase === 'Running',
        )
        assert.equal((await sandboxesIn(ns)).length, 1, 'the first sandbox is gone')
        return
      }
      const stopped = await api.until(
        'it is stopped',
        vmsPath(ns, 'a'),
        (one) => one.status.printableStatus === 'Stopped',
      )
      assert.equal(stopped.status.ready, false)
      const vmi = await api.get(vmisPath(ns, 'a'))
      assert.deepEqual(
        [vmi.metadata.uid, vmi.status.phase],
        [first.metadata.uid, end === 'shutdown' ? 'Succeeded' : 'Failed'],
      )
      await eventually('its sandbox is gone', async () => (await sandboxesIn(ns)).length === 0)
    })

  it('with runStrategy Halted or Manual does not begin by itself', async () => {
    const { api } = cluster
    const ns = await makeNamespace(api)
    for (const runStrategy of ['Halted', 'Manual']) {
      const name = runStrategy.toLowerCase()
      await api.create(vmsPath(ns), vm(name, [], { runStrategy }))
      const seen = await api.until('its status is told', vmsPath(ns, name), (one) => one.status?.printableStatus)
      assert.deepEqual([seen.status.printableStatus, seen.status.runStrategy], ['Stopped', runStrategy])
      assert.equal(condition(seen, 'Ready').reason, 'VMINotExists')
      assert.equal(await api.get(vmisPath(ns, name)), undefined)
    }
  })

  it('with runStrategy Manual goes on until the guest ends, then stays stopped', async () => {
    const { api, sandboxes } = cluster
    const ns = await makeNamespace(api)
    const first = await run(api, ns, strategy('Always'))
    await api.patch(vmsPath(ns, 'a'), { spec: { runStrategy: 'Manual' } })
    sandboxes.endGuest((await podOf(api, ns, 'a')).metadata.uid, 'shutdown')
    await api.until('it is stopped', vmsPath(ns, 'a'), (one) => one.status.printableStatus === 'Stopped')
    assert.equal((await api.get(vmisPath(ns, 'a'))).metadata.uid, first.metadata.uid)
  })

  it('pauses when it is halted and goes on when it is to run always', async () => {
    const { api } = cluster
    const ns = await makeNamespace(api)
    const first = await run(api, ns, strategy('Always'))
    await api.patch(vmsPath(ns, 'a'), { spec: { runStrategy: 'Halted' } })
    await api.until('no instance is left', vmisPath(ns, 'a'), (one) => one === undefined)
    await api.until('it is stopped', vmsPath(ns, 'a'), (one) => one.status.printableStatus === 'Stopped')
    await eventually('no sandbox is left', async () => (await sandboxesIn(ns)).length === 0)
    await api.patch(vmsPath(ns, 'a'), { spec: { runStrategy: 'Always' } })
    const again = await running(api, ns, 'a')
    assert.notEqual(again.metadata.uid, first.metadata.uid)
  })

  it('whose image is missing says so and how to make it', async () => {
    const { api } = cluster
    const ns = await makeNamespace(api)
    const manifest = vm('a')
    manifest.spec.template.spec.domain.firmware.kernelBoot.container.image = 'missing'
    await api.create(vmsPath(ns), manifest)
    const seen = await api.until(
      'ErrImagePull',
      vmsPath(ns, 'a'),
      (one) => one.status?.printableStatus === 'ErrImagePull',
    )
    assert.match(condition(seen, 'Synchronized').message, /patchbay image import missing DIR/)
    await api.delete(vmsPath(ns, 'a'))
    await api.until('the VM is gone', vmsPath(ns, 'a'), (one) => one === undefined)
  })

  it('that no node can take says why, and begins when one can', async () => {
    const { api } = cluster
    const ns = await makeNamespace(api)
    const manifest = vm('a')
    manifest.spec.template.spec.nodeSelector = { [`for-${ns}`]: 'yes' }
    await api.create(vmsPath(ns), manifest)
    const seen = await api.until(
      'ErrorUnschedulable',
      vmsPath(ns, 'a'),
      (one) => one.status?.printableStatus === 'ErrorUnschedulable',
    )
    assert.match(
      condition(seen, 'PodScheduled').message,
      /^0\/1 nodes are available: 1 node\(s\) didn't match Pod's node affinity\/selector; see kubectl describe nodes$/,
    )
    await api.patch('/api/v1/nodes/node1', { metadata: { labels: { [`for-${ns}`]: 'yes' } } })
    await running(api, ns, 'a')
  })

  it('ends without a trace when it is deleted', async () => {
    const { api } = cluster
    const ns = await makeNamespace(api)
    await run(api, ns, vm('a'))
    await api.delete(vmsPath(ns, 'a'))
    await api.until('the VM is gone', vmsPath(ns, 'a'), (one) => one === undefined)
    assert.deepEqual(await api.list(vmisPath(ns)), [])
    assert.deepEqual(await api.list(podsPath(ns)), [])
    assert.deepEqual(await sandboxesIn(ns), [])
  })

  it('ends without a trace when its namespace is deleted, whatever it was doing', async () => {
    const { api } = cluster
    const ns = await makeNamespace(api, ['red'])
    await run(api, ns, vm('a', [{ name: 'red' }]))
    await api.create(vmsPath(ns), vm('waiting', [{ name: 'missing' }]))
    await api.create(vmsPath(ns), vm('halted', [], { runStrategy: 'Halted' }))
    const watch = await api.watch(`/api/v1/namespaces?watch=1&fieldSelector=metadata.name=${ns}`)
    const { metadata } = await api.delete(`/api/v1/namespaces/${ns}`)
    assert.ok(metadata.deletionTimestamp)
    const seen: string[] = []
    for (let line = await watch.next(); line; line = await watch.next()) {
      seen.push(`${line.type} ${line.object.status.phase}`)
      if (line.type === 'DELETED') break
    }
    watch.close()
    assert.deepEqual(seen, ['ADDED Active', 'MODIFIED Active', 'MODIFIED Terminating', 'DELETED Terminating'])
    await api.until('the namespace is gone', `/api/v1/namespaces/${ns}`, (one) => one === undefined)
    for (const path of [vmsPath(ns), vmisPath(ns), podsPath(ns)]) assert.deepEqual(await api.list(path), [])
    assert.deepEqual(await sandboxesIn(ns), [])
  })

  it('goes on under a new pod when its pod is deleted', async () => {
    const { api } = cluster
    const ns = await makeNamespace(api)
    const first = await run(api, ns, vm('a'))
    const pod = await podOf(api, ns, 'a')
    await api.delete(podsPath(ns, pod.metadata.name))
    await api.until(
      'another instance runs',
      vmisPath(ns, 'a'),
      (one) => one && one.metadata.uid !== first.metadata.uid && one.status?.phase === 'Running',
    )
    assert.notEqual((await podOf(api, ns, 'a')).metadata.uid, pod.metadata.uid)
    assert.equal((await sandboxesIn(ns)).length, 1)
  })
})

describe('a server that is stopped and started again', () => {
  let ground: Ground
  before(async () => {
    ground = await makeGround()
  })
  after(() => ground?.remove())

  async function during<T>(options: { agent?: boolean }, work: (cluster: Cluster) => Promise<T>): Promise<T> {
    const cluster = await startOn(ground, options)
    try {
      return await work(cluster)
    } finally {
      await cluster.stop()
    }
  }

  it('finds its guests running, starts none twice, and carries out what was changed meanwhile', async () => {
    const pods = await during({}, async ({ api }) => {
      await makeNamespace(api)
      for (const name of ['a', 'b', 'c']) await run(api, 'default', vm(name))
      return api.list(podsPath('default'))
    })
    assert.equal(pods.length, 3)
    // While no agent runs: one cable is pulled, one VM deleted.
    await during({ agent: false }, async ({ api }) => {
      await api.patch(vmsPath('default', 'a'), statePatch(['down']))
      await api.delete(vmsPath('default', 'c'))
      await api.until(
        'the instance knows',
        vmisPath('default', 'a'),
        (one) => one.spec.domain.devices.interfaces[0].state === 'down',
      )
      assert.deepEqual(linkStates(await api.get(vmisPath('default', 'a'))), ['default up'], 'nobody has done it yet')
    })
    await during({}, async ({ api, sandboxes }) => {
      await api.until('the link is down', vmisPath('default', 'a'), (one) => linkStates(one)?.[0] === 'default down')
      await api.until('the deleted VM is gone', vmsPath('default', 'c'), (one) => one === undefined)
      const left = await api.list(podsPath('default'))
      const kept = pods.filter((pod) => pod.metadata.labels['vm.kubevirt.io/name'] !== 'c')
      assert.deepEqual(left.map((pod) => pod.metadata.uid).toSorted(), kept.map((pod) => pod.metadata.uid).toSorted())
      for (const pod of left) assert.equal(sandboxes.starts(pod.metadata.uid), 1)
      assert.equal((await sandboxes.list()).length, 2)
    })
  })

  it('tells of a guest that ended while it was away', async () => {
    const pod = await during({}, async ({ api }) => {
      await run(api, 'default', vm('ended', [], { runStrategy: 'RerunOnFailure' }))
      return podOf(api, 'default', 'ended')
    })
    ground.sandboxes.endGuest(pod.metadata.uid, 'shutdown')
    await during({}, async ({ api }) => {
      await api.until('it is stopped', vmsPath('default', 'ended'), (one) => one.status.printableStatus === 'Stopped')
    })
  })
})
