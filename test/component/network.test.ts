import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { type Any, nadsPath, podsPath, vmisPath, vmsPath } from './api.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { condition, linkStates, makeNamespace, nad, podOf, run, running, statePatch, vm } from './manifests.ts'

describe('the network cables of a running VM', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster()
  })
  after(() => cluster?.stop())

  it('go down and up together by one patch, without restart, in the same pod', async () => {
    const { api, sandboxes } = cluster
    const ns = await makeNamespace(api, ['red'])
    const first = await run(api, ns, vm('a', [{ name: 'red' }]))
    assert.deepEqual(linkStates(first), ['default up', 'red up'])
    const pod = await podOf(api, ns, 'a')
    for (const state of ['down', 'up'] as const) {
      await api.patch(vmsPath(ns, 'a'), statePatch([state, state]))
      const vmi = await api.until(
        `links are ${state}`,
        vmisPath(ns, 'a'),
        (one) => linkStates(one)?.join() === `default ${state},red ${state}`,
      )
      assert.equal(vmi.metadata.uid, first.metadata.uid)
      assert.deepEqual(
        vmi.status.interfaces.map((one: Any) => one.mac),
        first.status.interfaces.map((one: Any) => one.mac),
      )
    }
    const { metadata } = await podOf(api, ns, 'a')
    assert.equal(metadata.uid, pod.metadata.uid)
    assert.equal(sandboxes.starts(metadata.uid), 1)
    const settled = await api.until(
      'the VM’s status has seen the change',
      vmsPath(ns, 'a'),
      (one) => one.status.observedGeneration === one.metadata.generation,
    )
    assert.equal(condition(settled, 'RestartRequired'), undefined)
    assert.equal(settled.metadata.generation, 3)
  })

  for (const [state, link] of [
    ['linkDown', 'down'],
    ['linkUp', 'up'],
    ['', 'up'],
  ] as const)
    it(`understand the state "${state}" as ${link}`, async () => {
      const { api } = cluster
      const ns = await makeNamespace(api)
      await run(api, ns, vm('a'))
      await api.patch(vmsPath(ns, 'a'), statePatch([link === 'up' ? 'down' : 'up']))
      await api.patch(vmsPath(ns, 'a'), statePatch([state]))
      await api.until(
        `the link is ${link}`,
        vmisPath(ns, 'a'),
        (one) => one.spec.domain.devices.interfaces[0].state === state && linkStates(one)?.[0] === `default ${link}`,
      )
    })

  it('are down from the start when the manifest says so', async () => {
    const { api } = cluster
    const ns = await makeNamespace(api, ['red'])
    const vmi = await run(api, ns, vm('a', [{ name: 'red', state: 'down' }]))
    assert.deepEqual(linkStates(vmi), ['default up', 'red down'])
  })

  it('keep their MAC addresses when the manifest without them is applied again, and nothing is written', async () => {
    const { api } = cluster
    const ns = await makeNamespace(api, ['red'])
    await run(api, ns, vm('a', [{ name: 'red' }]))
    const before = await api.until(
      'the VM is settled',
      vmsPath(ns, 'a'),
      (one) => one.status.ready && one.metadata.finalizers,
    )
    const put = { ...vm('a', [{ name: 'red' }]), metadata: { ...before.metadata, resourceVersion: undefined } }
    const { code, json } = await api.send('PUT', vmsPath(ns, 'a'), { body: put })
    assert.equal(code, 200)
    assert.deepEqual(json.spec, before.spec)
    assert.equal(json.metadata.generation, before.metadata.generation)
  })

  it('ask for a restart when a MAC is changed, and not for one more when it is changed back', async () => {
    const { api } = cluster
    const ns = await makeNamespace(api)
    const vmi = await run(api, ns, vm('a'))
    const mac = (value: string) => [
      { op: 'replace', path: '/spec/template/spec/domain/devices/interfaces/0/macAddress', value },
    ]
    await api.patch(vmsPath(ns, 'a'), mac('02:00:00:00:00:99'))
    const asked = await api.until(
      'RestartRequired',
      vmsPath(ns, 'a'),
      (one) => condition(one, 'RestartRequired')?.status === 'True',
    )
    assert.equal(
      condition(asked, 'RestartRequired').message,
      'a non-live-updatable field was changed in the template spec',
    )
    assert.equal((await api.get(vmisPath(ns, 'a'))).status.interfaces[0].mac, vmi.status.interfaces[0].mac)
    await api.patch(vmsPath(ns, 'a'), mac(vmi.status.interfaces[0].mac))
    await api.until('no RestartRequired', vmsPath(ns, 'a'), (one) => !condition(one, 'RestartRequired'))
  })

  it('wait for a network that is missing, say which and what to do, heal when it comes, and hold up nobody else', async () => {
    const { api } = cluster
    const ns = await makeNamespace(api, ['red'])
    await api.create(vmsPath(ns), vm('waiting', [{ name: 'blue', nad: 'late' }]))
    const seen = await api.until(
      'Synchronized is False',
      vmsPath(ns, 'waiting'),
      (one) => condition(one, 'Synchronized')?.status === 'False',
    )
    const { message } = condition(seen, 'Synchronized')
    assert.match(
      message,
      new RegExp(
        `NetworkAttachmentDefinition ${ns}/late, which does not exist or has no config; create it, or change networkName`,
      ),
    )
    assert.equal(seen.status.printableStatus, 'Starting')
    const event = await api.until(
      'an event tells it',
      `/api/v1/namespaces/${ns}/events?fieldSelector=reason=SyncFailed`,
      (list) => list.items.length === 1,
    )
    assert.deepEqual(
      [event.items[0].type, event.items[0].message, event.items[0].involvedObject.name],
      ['Warning', message, 'waiting'],
    )
    await run(api, ns, vm('other', [{ name: 'red' }]))
    await api.create(nadsPath(ns), nad('late'))
    await running(api, ns, 'waiting')
    await api.until('the condition is gone', vmsPath(ns, 'waiting'), (one) => !condition(one, 'Synchronized'))
  })

  it('tell of a network that cannot be attached, and a VM with one can be deleted', async () => {
    const { api, sandboxes } = cluster
    const ns = await makeNamespace(api)
    await api.create(nadsPath(ns), nad('bad', { ipam: { note: 'sim-fail' } }))
    await api.create(vmsPath(ns), vm('a', [{ name: 'bad' }]))
    const seen = await api.until(
      'Synchronized is False',
      vmisPath(ns, 'a'),
      (one) => condition(one, 'Synchronized')?.status === 'False',
    )
    assert.match(condition(seen, 'Synchronized').message, new RegExp(`CNI plugin of network ${ns}/bad failed`))
    await api.delete(vmsPath(ns, 'a'))
    await api.until('the VM is gone', vmsPath(ns, 'a'), (one) => one === undefined)
    assert.deepEqual(await api.list(podsPath(ns)), [])
    assert.ok((await sandboxes.list()).every(({ namespace }) => namespace !== ns))
  })

  it('that cannot be moved are told with KubeVirt’s reason, and those before them have moved', async () => {
    const { api } = cluster
    const ns = await makeNamespace(api, ['red', 'stuck1'])
    await run(api, ns, vm('a', [{ name: 'red' }, { name: 'stuck1' }]))
    await api.patch(vmsPath(ns, 'a'), statePatch(['up', 'down', 'down']))
    const vmi = await api.until(
      'Synchronized is False',
      vmisPath(ns, 'a'),
      (one) => condition(one, 'Synchronized')?.status === 'False',
    )
    assert.equal(condition(vmi, 'Synchronized').reason, 'Synchronizing with the Domain failed.')
    assert.match(condition(vmi, 'Synchronized').message, /ua-stuck1/)
    assert.deepEqual(
      linkStates(vmi),
      ['default up', 'red down', 'stuck1 up'],
      'what the hypervisor has, not what was asked for',
    )
    await api.patch(vmsPath(ns, 'a'), statePatch(['down', 'up', 'up']))
    const well = (one: Any) =>
      !condition(one, 'Synchronized') && linkStates(one)?.join() === 'default down,red up,stuck1 up'
    await api.until('all is well again', vmisPath(ns, 'a'), well)
  })
})
