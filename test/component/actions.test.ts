import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { type Any, vmisPath, vmsPath } from './api.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { condition, linkStates, makeNamespace, podOf, run, vm } from './manifests.ts'

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
  const namesOf = (object: Any) =>
    object.spec.template.spec.domain.devices.interfaces.map((one: Any) => one.name).join()
  const nicsOf = async (ns: string) => namesOf(await cluster.api.get(vmsPath(ns, 'a')))
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

  it('add an interface to a VM and remove it, running or stopped', async () => {
    const ns = await makeNamespace(cluster.api, ['red'])
    await run(cluster.api, ns, vm('a'))
    const plug = { networkAttachmentDefinitionName: 'red', name: 'nic1' }
    const tried = await vmVerb(ns, 'addinterface', { ...plug, dryRun: ['All'] })
    assert.deepEqual([tried.code, await nicsOf(ns)], [202, 'default'])
    const added = await vmVerb(ns, 'addinterface', plug)
    assert.deepEqual([added.code, added.text], [202, ''])
    assert.equal(await nicsOf(ns), 'default,nic1')
    await cluster.api.until('plugged', vmisPath(ns, 'a'), (one) => linkStates(one).join() === 'default up,nic1 up')
    const removed = await vmVerb(ns, 'removeinterface', { name: 'nic1' })
    assert.deepEqual([removed.code, removed.text], [202, ''])
    await cluster.api.until('unplugged', vmsPath(ns, 'a'), (one) => namesOf(one) === 'default')
    await cluster.api.patch(vmsPath(ns, 'a'), { spec: { runStrategy: 'Halted' } })
    await status(ns, 'Stopped')
    assert.equal((await vmVerb(ns, 'addinterface', plug)).code, 202)
    assert.equal(await nicsOf(ns), 'default,nic1')
    assert.equal((await vmVerb(ns, 'removeinterface', { name: 'nic1' })).code, 202)
    assert.equal(await nicsOf(ns), 'default')
  })

  it('refuse interfaces that cannot be added or removed, and tell what to do', async () => {
    const ns = await makeNamespace(cluster.api, ['red'])
    await cluster.api.create(vmsPath(ns), { ...vm('a', [{ name: 'red' }], { runStrategy: 'Halted' }) })
    const refused = async (verb: string, body: unknown) => {
      const { code, json } = await vmVerb(ns, verb, body)
      return `${code} ${json.message}`
    }
    const add = (body: object) => refused('addinterface', body)
    assert.equal(
      await add({ name: 'x' }),
      '400 AddInterfaceOptions requires `networkAttachmentDefinitionName` to be set',
    )
    assert.equal(
      await add({ networkAttachmentDefinitionName: 'red' }),
      '400 AddInterfaceOptions requires `name` to be set',
    )
    assert.equal(await refused('removeinterface', ''), '400 RemoveInterfaceOptions requires `name` to be set')
    assert.equal(
      await add({ networkAttachmentDefinitionName: 'red', name: 'red' }),
      `409 Operation cannot be fulfilled on virtualmachine.kubevirt.io "a": VM a has an interface red already, on network ${ns}/red; choose another name`,
    )
    assert.match(await add({ networkAttachmentDefinitionName: 'red', name: 'a b' }), /^422 .*can only contain alphabet/)
    assert.match(await refused('removeinterface', { name: 'x' }), /^404 .* no interface x; it has: default, red$/)
    assert.match(await refused('removeinterface', { name: 'default' }), /^422 .* cannot be unplugged; cut its link/)
    assert.equal((await put(ns, 'virtualmachines', 'nobody', 'addinterface', {})).code, 404)
    const onInstance = await vmiVerb(ns, 'addinterface', { networkAttachmentDefinitionName: 'red', name: 'x' })
    assert.equal(onInstance.code, 400)
    assert.match(onInstance.json.message, /call virtualmachines\/a\/addinterface instead$/)
    assert.equal(await nicsOf(ns), 'default,red')
  })

  it('reset a guest and tell it to reboot, once each, and return when it is done', async () => {
    const ns = await makeNamespace(cluster.api)
    await run(cluster.api, ns, vm('a'))
    const { uid } = (await podOf(cluster.api, ns, 'a')).metadata
    const reset = await vmiVerb(ns, 'reset')
    assert.deepEqual([reset.code, reset.text], [200, ''])
    assert.deepEqual(cluster.sandboxes.reboots(uid), ['Reset'])
    assert.equal((await vmiVerb(ns, 'softreboot')).code, 200)
    assert.equal((await vmiVerb(ns, 'softreboot', { dryRun: ['All'] })).code, 200)
    assert.deepEqual(cluster.sandboxes.reboots(uid), ['Reset', 'SoftReboot'])
    const { action, state } = (await cluster.api.get(vmisPath(ns, 'a'))).status.powerRequests.at(-1)
    assert.deepEqual([action, state], ['SoftReboot', 'Done'])
    const both = await Promise.all([vmiVerb(ns, 'reset'), vmiVerb(ns, 'reset')])
    const done = both.filter(({ code }) => code === 200).length
    for (const { code, json } of both)
      if (code !== 200) assert.match(`${code} ${json.message}`, /^409 .*: unable to complete request: reset or soft/)
    assert.ok(done >= 1)
    assert.deepEqual(cluster.sandboxes.reboots(uid), ['Reset', 'SoftReboot', ...Array(done).fill('Reset')])
    assert.equal((await vmiVerb(ns, 'pause')).code, 200)
    const paused = await vmiVerb(ns, 'softreboot')
    assert.match(`${paused.code} ${paused.json.message}`, /^409 .*virtualmachineinstance.*"a": VMI is paused$/)
    assert.equal((await put(ns, 'virtualmachineinstances', 'nobody', 'reset')).code, 404)
    await run(cluster.api, ns, vm('stuck'))
    const failed = await put(ns, 'virtualmachineinstances', 'stuck', 'reset')
    assert.deepEqual(
      [failed.code, failed.json.message],
      [503, 'Cannot reset the guest: libvirt refused to reset the guest'],
    )
  })

  it('tell what the guest tells of itself, as long as its agent is there', async () => {
    const ns = await makeNamespace(cluster.api)
    await run(cluster.api, ns, vm('a'))
    const path = `${root}/namespaces/${ns}/virtualmachineinstances/a/guestosinfo`
    await cluster.api.until('it told', vmisPath(ns, 'a'), ({ status: one }) => one.guestOSInfo)
    const { code, json } = await cluster.api.send('GET', path)
    assert.equal(code, 200)
    assert.deepEqual(json, {
      guestAgentVersion: '0',
      hostname: `${ns}_a`,
      os: { name: 'Simulated', id: 'sim', kernelRelease: '0', machine: 'x86_64' },
      timezone: 'UTC, 0',
    })
    await vmVerb(ns, 'stop')
    await status(ns, 'Stopped')
    assert.equal((await cluster.api.send('GET', path)).code, 404)
    const viewer = await cluster.as('vera', [])
    assert.equal((await viewer.send('GET', path)).code, 403)
  })

  it('migrate a VM that runs; what admission has against it is told as KubeVirt does', async () => {
    const ns = await makeNamespace(cluster.api)
    const missing = await vmVerb(ns, 'migrate')
    assert.deepEqual([missing.code, missing.json.message], [404, 'virtualmachine.kubevirt.io "a" not found'])
    await cluster.api.create(vmsPath(ns), withStrategy('Manual'))
    const stopped = await vmVerb(ns, 'migrate')
    assert.deepEqual([stopped.code, stopped.json.message], [404, 'virtualmachineinstance.kubevirt.io "a" not found'])
    await vmVerb(ns, 'start')
    await status(ns, 'Running')
    const migrate = async (body: unknown, refusal?: RegExp) => {
      const { code, text, json } = await vmVerb(ns, 'migrate', body)
      if (!refusal) return assert.deepEqual([code, text], [202, ''])
      assert.deepEqual([code, json.reason], [500, 'InternalError'])
      assert.match(json.message, refusal)
    }
    const migrations = () => cluster.api.list(`/apis/kubevirt.io/v1/namespaces/${ns}/virtualmachineinstancemigrations`)
    await migrate({ dryRun: ['All'] })
    assert.deepEqual(await migrations(), [])
    await migrate({ addedNodeSelector: { zone: 'b' } })
    await migrate('', /^Internal error occurred: .* denied the request: in-flight migration detected/)
    for (const { metadata, spec } of await migrations()) {
      assert.match(metadata.name, /^kubevirt-migrate-vm-\w+$/)
      assert.deepEqual(spec, { vmiName: 'a', addedNodeSelector: { zone: 'b' } })
    }
    assert.equal((await migrations()).length, 1)
    assert.equal((await vmVerb(ns, 'migrate', { addedNodeSelector: 'b' })).code, 400)
    // Neither is it a bug of ours, nor may an administrator of the namespace do so.
    assert.deepEqual(cluster.errors, [])
    const jane = await cluster.as('jane', [])
    await cluster.api.create(`/apis/rbac.authorization.k8s.io/v1/namespaces/${ns}/rolebindings`, {
      metadata: { name: 'jane' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'admin' },
      subjects: [{ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: 'jane' }],
    })
    const path = `${root}/namespaces/${ns}`
    assert.equal((await jane.send('PUT', `${path}/virtualmachines/a/migrate`)).code, 403)
    const mine = await jane.send('PUT', `${path}/virtualmachineinstances/a/reset`)
    assert.equal(mine.code, 200)
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
    const ofBoth = ['addvolume', 'removevolume']
    const ofVms = ['start', 'stop', 'restart', 'migrate', 'addinterface', 'removeinterface', ...ofBoth]
    const ofInstances = ['pause', 'unpause', 'reset', 'softreboot', 'guestosinfo', ...ofBoth]
    for (const name of [
      ...ofVms.map((verb) => `virtualmachines/${verb}`),
      ...ofInstances.map((verb) => `virtualmachineinstances/${verb}`),
    ])
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
