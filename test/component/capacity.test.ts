import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { eventually } from '#base/wait.ts'
import { type Any, podsPath, vmisPath, vmsPath } from './api.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { condition, makeNamespace, run, running, vm } from './manifests.ts'

describe('the room of a node', () => {
  let cluster: Cluster
  let ns: string
  before(async () => {
    cluster = await startCluster()
    ns = await makeNamespace(cluster.api)
    await cluster.startNode('small', { allocatable: { pods: '2', memory: '1Gi' } })
  })
  after(() => cluster?.stop())

  const onSmall = (name: string, guest: string): Any => {
    const made = vm(name)
    made.spec.template.spec.nodeSelector = { 'kubernetes.io/hostname': 'small' }
    made.spec.template.spec.domain.memory.guest = guest
    return made
  }
  const waits = (name: string, why: RegExp) =>
    cluster.api.until(`${name} waits`, vmisPath(ns, name), (one) => {
      const scheduled = condition(one, 'PodScheduled')
      return scheduled?.reason === 'Unschedulable' && why.test(scheduled.message)
    })

  it('is kept by what waits for it, which starts by itself once there is room', async () => {
    await run(cluster.api, ns, onSmall('first', '512Mi'))
    await cluster.api.create(vmsPath(ns), onSmall('second', '512Mi'))
    const vmi = await waits('second', /^0\/2 nodes are available: 1 Insufficient memory, 1 node\(s\) didn't match/)
    assert.equal(vmi.status.phase, 'Pending')
    const tells = ({ status }: Any) => status?.printableStatus === 'ErrorUnschedulable'
    await cluster.api.until('the VM says so', vmsPath(ns, 'second'), tells)
    await cluster.api.delete(vmsPath(ns, 'first'))
    await running(cluster.api, ns, 'second')
  })

  it('is not overbooked by instances that come at once', async () => {
    const names = ['p1', 'p2', 'p3', 'p4']
    await Promise.all(names.map((name) => cluster.api.create(vmsPath(ns), onSmall(name, '16Mi'))))
    const onNode = async () => (await cluster.api.list(podsPath(ns))).filter((pod) => pod.spec.nodeName === 'small')
    await eventually('one runs, three wait', async () => {
      const vmis = await Promise.all(names.map((name) => cluster.api.get(vmisPath(ns, name))))
      const waiting = vmis.filter((one) => condition(one, 'PodScheduled')?.status === 'False').length
      // Those that wait may be told so before the one that runs is stored.
      return waiting === 3 && (await onNode()).length > 1
    })
    assert.equal((await onNode()).length, 2)
    assert.deepEqual(cluster.errors, [])
  })

  it('is not taken by an instance whose image does not exist: it gets no sandbox', async () => {
    const lost = vm('lost')
    lost.spec.template.spec.domain.firmware.kernelBoot.container.image = 'missing'
    await cluster.api.create(vmsPath(ns), lost)
    await cluster.api.until(
      'the image is missing',
      vmsPath(ns, 'lost'),
      (one) => one?.status?.printableStatus === 'ErrImagePull',
    )
    const pods = await cluster.api.list(podsPath(ns))
    const { uid } = pods.find((pod) => pod.metadata.labels['vm.kubevirt.io/name'] === 'lost').metadata
    assert.equal(
      (await cluster.sandboxes.list()).some((sandbox) => sandbox.uid === uid),
      false,
    )
  })
})
