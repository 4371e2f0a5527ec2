import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { vmisPath, vmsPath } from './api.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { condition, makeNamespace, podOf, run, vm } from './manifests.ts'

const root = '/apis/subresources.kubevirt.io/v1'

describe('the verbs of VMs', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster()
  })
  after(() => cluster?.stop())

  const put = (ns: string, what: string, name: string, verb: string, body: unknown = '') =>
    cluster.api.send('PUT', `${root}/namespaces/${ns}/${what}/${name}/${verb}`, { body })
  const vmVerb = (ns: string, verb: string, body?: unknown) => put(ns, 'virtualmachines', 'a', verb, body)
  const vmiVerb = (ns: string, verb: string, body?: unknown) => put(ns, 'virtualmachineinstances', 'a', verb, body)
  const withStrategy = (runStrategy: string) => {
    const manifest = vm('a')
    manifest.spec.runStrategy = runStrategy
    return manifest
  }
  const status = (ns: string, wanted: string) =>
    cluster.api.until(wanted, vmsPath(ns, 'a'), (one) => one.status?.printableStatus === wanted)

  it('start and stop a Halted VM by its run strategy', async () => {
    const ns = await makeNamespace(cluster.api)
    await cluster.api.create(vmsPath(ns), withStrategy('Halted'))
    const started = await vmVerb(ns, 'start')
    assert.deepEqual([started.code, started.text], [202, ''])
    assert.equal((await status(ns, 'Running')).spec.runStrategy, 'Always')
    assert.equal((await vmVerb(ns, 'stop')).code, 202)
    assert.equal((await status(ns, 'Stopped')).spec.runStrategy, 'Halted')
  })

  it('start, restart and stop a Manual VM by requests', async () => {
    const ns = await makeNamespace(cluster.api)
    await cluster.api.create(vmsPath(ns), withStrategy('Manual'))
    assert.equal((await vmVerb(ns, 'start')).code, 202)
    await status(ns, 'Running')
    const first = (await podOf(cluster.api, ns, 'a')).metadata.uid
    assert.equal((await vmVerb(ns, 'restart')).code, 202)
    await cluster.api.until('another pod', `/api/v1/namespaces/${ns}/pods`, (list) =>
      list.items.some((pod: { metadata: { uid: string } }) => pod.metadata.uid !== first),
    )
    await status(ns, 'Running')
    assert.equal((await vmVerb(ns, 'stop', { gracePeriod: 0 })).code, 202)
    const stopped = await status(ns, 'Stopped')
    assert.equal(stopped.spec.runStrategy, 'Manual')
    assert.equal(stopped.status.stateChangeRequests, undefined)
  })

  it('pause and unpause a guest; both return when it is done', async () => {
    const ns = await makeNamespace(cluster.api)
    await run(cluster.api, ns, vm('a'))
    const paused = await vmiVerb(ns, 'pause')
    assert.deepEqual([paused.code, paused.text], [200, ''])
    assert.equal(condition(await cluster.api.get(vmisPath(ns, 'a')), 'Paused').status, 'True')
    await status(ns, 'Paused')
    assert.match((await vmiVerb(ns, 'pause')).json.message, /"a": VMI is already paused$/)
    assert.equal((await vmiVerb(ns, 'unpause')).code, 200)
    assert.equal(condition(await cluster.api.get(vmisPath(ns, 'a')), 'Paused'), undefined)
    await status(ns, 'Running')
  })

  it('start a VM paused, and it stays so until it is told to go on', async () => {
    const ns = await makeNamespace(cluster.api)
    await cluster.api.create(vmsPath(ns), withStrategy('Manual'))
    assert.equal((await vmVerb(ns, 'start', { paused: true })).code, 202)
    await status(ns, 'Paused')
    assert.equal((await vmiVerb(ns, 'unpause')).code, 200)
    assert.equal(condition(await status(ns, 'Running'), 'RestartRequired'), undefined)
  })

  it("are refused in KubeVirt's words, and tried without effect by a dry run", async () => {
    const ns = await makeNamespace(cluster.api)
    await run(cluster.api, ns, vm('a'))
    const again = await vmVerb(ns, 'start')
    assert.deepEqual([again.code, again.json.reason], [409, 'Conflict'])
    assert.equal(
      again.json.message,
      'Operation cannot be fulfilled on virtualmachine.kubevirt.io "a": VM is already running',
    )
    const missing = await put(ns, 'virtualmachines', 'nobody', 'start')
    assert.deepEqual([missing.code, missing.json.message], [404, 'virtualmachine.kubevirt.io "nobody" not found'])
    assert.equal((await vmVerb(ns, 'restart', { gracePeriodSeconds: 3 })).code, 400)
    assert.equal((await vmVerb(ns, 'stop', '{')).code, 400)
    assert.equal((await cluster.api.send('GET', `${root}/namespaces/${ns}/virtualmachines/a/start`)).code, 405)
    assert.equal((await vmVerb(ns, 'stop', { dryRun: ['All'] })).code, 202)
    assert.equal((await cluster.api.get(vmsPath(ns, 'a'))).spec.runStrategy, 'Always')
  })

  it('need the right to update them, and every call is in the audit log', async () => {
    const ns = await makeNamespace(cluster.api)
    await cluster.api.create(vmsPath(ns), withStrategy('Manual'))
    const jane = await cluster.as('jane', [])
    const { code, json } = await jane.send('PUT', `${root}/namespaces/${ns}/virtualmachines/a/start`)
    assert.equal(code, 403)
    assert.match(
      json.message,
      /User "jane" cannot update resource "virtualmachines\/start" in API group "subresources.kubevirt.io"/,
    )
  })

  it('are discovered as virtctl and kubectl look for them', async () => {
    const { json: list } = await cluster.api.send('GET', root)
    assert.equal(list.groupVersion, 'subresources.kubevirt.io/v1')
    const names = list.resources.map(({ name }: { name: string }) => name)
    for (const name of ['virtualmachines/start', 'virtualmachines/stop', 'virtualmachineinstances/pause'])
      assert.ok(names.includes(name), name)
    const { json: group } = await cluster.api.send('GET', '/apis/subresources.kubevirt.io')
    assert.equal(group.preferredVersion.groupVersion, 'subresources.kubevirt.io/v1')
    const { json: version } = await cluster.api.send('GET', `${root}/version`)
    assert.deepEqual(
      Object.keys(version).filter((key) => ['gitVersion', 'gitCommit', 'buildDate', 'platform'].includes(key)).length,
      4,
    )
    const jane = await cluster.as('jane', [])
    assert.equal((await jane.send('GET', `${root}/version`)).code, 200)
  })
})
