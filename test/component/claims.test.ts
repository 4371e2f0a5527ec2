import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { eventually } from '#base/wait.ts'
import { SimVolumes } from '#drivers/sim/volumes.ts'
import { type Any, vmisPath, vmsPath } from './api.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { condition, makeNamespace, run, running, vm } from './manifests.ts'
import { claim, claimsPath, dataVolume, dataVolumesPath, withVolumes } from './volumes.ts'

const claimVolume = (claimName: string) => ({ name: 'data', persistentVolumeClaim: { claimName } })

describe('claims', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster()
  })
  after(async () => {
    const errors = cluster?.errors ?? []
    await cluster?.stop()
    assert.deepEqual(errors, [])
  })
  const bound = (ns: string, name: string) =>
    cluster.api.until(`claim ${name} is bound`, claimsPath(ns, name), (one) => one?.status?.phase === 'Bound')
  const succeeded = (ns: string, name: string) =>
    cluster.api.until(`${name} is done`, dataVolumesPath(ns, name), (one) => one?.status?.phase === 'Succeeded')
  const events = async (ns: string, name: string) =>
    (await cluster.api.list(`/api/v1/namespaces/${ns}/events`))
      .filter((one) => one.involvedObject.name === name)
      .map((one) => `${one.reason}: ${one.message}`)

  it('are bound to a volume on a node at once, by the default class', async () => {
    const { api } = cluster
    const ns = await makeNamespace(api)
    await api.create(claimsPath(ns), claim('data'))
    const { metadata, spec, status } = await bound(ns, 'data')
    assert.deepEqual(status, { phase: 'Bound', accessModes: ['ReadWriteOnce'], capacity: { storage: '1Gi' } })
    assert.deepEqual(
      [spec.volumeName, spec.storageClassName, spec.volumeMode],
      [`pvc-${metadata.uid}`, 'local', 'Filesystem'],
    )
    assert.equal(metadata.annotations['volume.kubernetes.io/selected-node'], 'node1')
    const local = await api.get('/apis/storage.k8s.io/v1/storageclasses/local')
    assert.equal(local.metadata.annotations['storageclass.kubernetes.io/is-default-class'], 'true')
  })

  it('of a class that is not here wait, and an Event says what to do', async () => {
    const { api } = cluster
    const ns = await makeNamespace(api)
    await api.create(claimsPath(ns), claim('data', { storageClassName: 'fast' }))
    const [seen] = await eventually('its Event', async () => {
      const list = await events(ns, 'data')
      return list.length > 0 && list
    })
    assert.match(seen ?? '', /ProvisioningFailed: storageclass.storage.k8s.io "fast" .* storageClassName: local/)
    assert.equal((await api.get(claimsPath(ns, 'data'))).status.phase, 'Pending')
    await api.create(vmsPath(ns), withVolumes(vm('a'), claimVolume('data')))
    await api.until('it waits', vmsPath(ns, 'a'), (one) => one?.status?.printableStatus === 'WaitingForVolumeBinding')
  })

  it('that are wrong are refused with all reasons at once, and stay as they are', async () => {
    const { api } = cluster
    const ns = await makeNamespace(api)
    const wrong = claim('data', { accessModes: ['Often'], volumeMode: 'Block', resources: {}, volumeName: 'x' })
    const { code, json } = await api.send('POST', claimsPath(ns), { body: wrong })
    assert.equal(code, 422)
    assert.deepEqual(
      json.details.causes.map((one: Any) => one.field),
      ['spec.accessModes', 'spec.resources[storage]', 'spec.volumeMode', 'spec.volumeName'],
    )
    await api.create(claimsPath(ns), claim('data'))
    await bound(ns, 'data')
    const change = async (spec: Any) => {
      const body = JSON.stringify({ spec })
      const answer = await api.send('PATCH', claimsPath(ns, 'data'), { body, type: 'application/merge-patch+json' })
      return [answer.code, answer.json.message]
    }
    const grown = await change({ resources: { requests: { storage: '2Gi' } } })
    assert.equal(grown[0], 422)
    assert.match(grown[1], /clone data into a larger claim by a DataVolume/)
    assert.match((await change({ accessModes: ['ReadWriteMany'] }))[1], /spec is immutable after creation/)
    const forged = await api.patch(claimsPath(ns, 'data'), { metadata: { labels: { 'patchbay.dev/node': 'node2' } } })
    assert.equal(forged.metadata.labels['patchbay.dev/node'], 'node1')
  })

  it('are used by a guest, kept over its stops, and go with their disks when nothing uses them', async () => {
    const { api, volumes } = cluster
    const ns = await makeNamespace(api)
    const manifest = withVolumes(vm('a'), claimVolume('data'))
    await api.create(vmsPath(ns), manifest)
    await api.until('ErrorPvcNotFound', vmsPath(ns, 'a'), (one) => one?.status?.printableStatus === 'ErrorPvcNotFound')
    const missing = condition(await api.get(vmisPath(ns, 'a')), 'Synchronized')
    assert.deepEqual(
      [missing.reason, missing.message],
      ['FailedPvcNotFound', `PVC ${ns}/data does not exist, waiting for it to appear`],
    )
    await api.create(claimsPath(ns), claim('data'))
    const vmi = await running(api, ns, 'a')
    assert.equal(condition(vmi, 'Synchronized'), undefined)
    assert.deepEqual(vmi.status.volumeStatus[0].persistentVolumeClaimInfo, {
      claimName: 'data',
      accessModes: ['ReadWriteOnce'],
      volumeMode: 'Filesystem',
      capacity: { storage: '1Gi' },
      requests: { storage: '1Gi' },
    })
    const { metadata } = await api.get(claimsPath(ns, 'data'))
    volumes.disks.set(metadata.uid, { is: 'blank' })
    await api.delete(claimsPath(ns, 'data'))
    assert.ok((await api.get(claimsPath(ns, 'data'))).metadata.deletionTimestamp)
    assert.ok(volumes.disks.has(metadata.uid))
    await api.patch(vmsPath(ns, 'a'), { spec: { runStrategy: 'Halted' } })
    await api.until('the claim is gone', claimsPath(ns, 'data'), (one) => one === undefined)
    assert.ok(!volumes.disks.has(metadata.uid))
  })

  it('have one guest at a time; the second one says which, and starts when that is gone', async () => {
    const { api } = cluster
    const ns = await makeNamespace(api)
    await api.create(claimsPath(ns), claim('data'))
    await run(api, ns, withVolumes(vm('a'), claimVolume('data')))
    await api.create(vmsPath(ns), withVolumes(vm('b'), claimVolume('data')))
    const vmi = await api.until('b waits', vmisPath(ns, 'b'), (one) => condition(one, 'Synchronized'))
    const { reason, message } = condition(vmi, 'Synchronized')
    assert.equal(reason, 'ClaimInUse')
    assert.match(message, new RegExp(`^PVC ${ns}/data is used by the instance a, and one guest at a time can use it`))
    await api.delete(vmsPath(ns, 'a'))
    await running(api, ns, 'b')
  })

  it('with ReadWriteMany are shared by guests whose disks say so', async () => {
    const { api } = cluster
    const ns = await makeNamespace(api)
    await api.create(claimsPath(ns), claim('data', { accessModes: ['ReadWriteMany'] }))
    for (const name of ['a', 'b']) await run(api, ns, withVolumes(vm(name), claimVolume('data'), { shareable: true }))
  })

  it('whose objects are gone leave their disks, which an Event names', async () => {
    const { api } = cluster
    const volumes = new SimVolumes()
    const uid = '00000000-0000-4000-8000-000000000000'
    volumes.disks.set(uid, { is: 'blank' })
    const node = await cluster.startNode('node2', { volumes })
    await eventually('its Event', async () =>
      (await api.list('/api/v1/namespaces/default/events')).some(
        ({ reason, message }) => reason === 'VolumeLeft' && message.startsWith(`The disk ${uid} has no claim`),
      ),
    )
    assert.ok(volumes.disks.has(uid))
    await node.stop()
    await api.delete('/api/v1/nodes/node2')
  })

  it('on several nodes: a guest runs where its claim is', async () => {
    const { api } = cluster
    const ns = await makeNamespace(api)
    const node = await cluster.startNode('node2')
    await api.until('node2 is ready', '/api/v1/nodes/node2', (one) => condition(one, 'Ready')?.status === 'True')
    await api.create(claimsPath(ns), claim('data'))
    const place = (await bound(ns, 'data')).metadata.labels['patchbay.dev/node']
    for (const name of ['x', 'y']) await run(api, ns, vm(name))
    const vmi = await run(api, ns, withVolumes(vm('a'), claimVolume('data')))
    assert.equal(vmi.status.nodeName, place)
    for (const name of ['a', 'x', 'y']) await api.delete(vmsPath(ns, name))
    await api.delete(claimsPath(ns, 'data'))
    for (const at of [vmsPath(ns, 'x'), vmsPath(ns, 'y'), claimsPath(ns, 'data')])
      await api.until('it is gone', at, (one) => one === undefined)
    await node.stop()
    await api.delete('/api/v1/nodes/node2')
  })

  describe('of DataVolumes', () => {
    it('get their content before a guest has them', async () => {
      const { api, volumes } = cluster
      const ns = await makeNamespace(api)
      const http = { url: 'http://images.example/disk.qcow2', checksum: `sha256:${'a'.repeat(64)}` }
      await api.create(dataVolumesPath(ns), dataVolume('root', { http }))
      const { metadata, status } = await succeeded(ns, 'root')
      assert.deepEqual([status.progress, status.claimName, status.restartCount], ['100.0%', 'root', 0])
      assert.deepEqual(
        ['Bound', 'Ready', 'Running'].map((type) => condition({ status }, type).status),
        ['True', 'True', 'False'],
      )
      const pvc = await api.get(claimsPath(ns, 'root'))
      assert.equal(pvc.metadata.ownerReferences[0].uid, metadata.uid)
      assert.deepEqual(volumes.disks.get(pvc.metadata.uid), {
        is: 'image',
        pull: { reference: http.url, isAlways: true, checksum: http.checksum },
      })
      await eventually('its Events', async () => {
        const list = await events(ns, 'root')
        return [
          'Import into root scheduled',
          'Import into root in progress',
          'Successfully imported into PVC root',
        ].every((text) => list.some((one) => one.endsWith(text)))
      })
      const seen = await run(api, ns, withVolumes(vm('a'), { name: 'data', dataVolume: { name: 'root' } }))
      assert.equal(condition(seen, 'DataVolumesReady').reason, 'AllDVsReady')
      await api.delete(dataVolumesPath(ns, 'root'))
      await api.delete(vmsPath(ns, 'a'))
      await api.until('the claim goes with it', claimsPath(ns, 'root'), (one) => one === undefined)
      assert.ok(!volumes.disks.has(pvc.metadata.uid))
    })

    it('are tried again when that may help, and fail when not; their VMs say so', async () => {
      const { api } = cluster
      const ns = await makeNamespace(api)
      const of = (url: string) => dataVolume(url, { registry: { url: `docker://registry.example/${url}` } })
      for (const name of ['flaky', 'bad', 'slow']) {
        await api.create(dataVolumesPath(ns), of(name))
        await api.create(vmsPath(ns), withVolumes(vm(name), { name: 'data', dataVolume: { name } }))
      }
      assert.equal((await succeeded(ns, 'flaky')).status.restartCount, 1)
      await running(api, ns, 'flaky')
      const bad = await api.until('bad fails', dataVolumesPath(ns, 'bad'), (one) => one.status?.phase === 'Failed')
      assert.match(condition(bad, 'Running').message, /has the checksum 0 and should have 1/)
      await api.until('DataVolumeError', vmsPath(ns, 'bad'), (one) => one.status?.printableStatus === 'DataVolumeError')
      await api.until('Provisioning', vmsPath(ns, 'slow'), (one) => one.status?.printableStatus === 'Provisioning')
      await api.until('half', dataVolumesPath(ns, 'slow'), (one) => one.status?.progress === '50.00%')
      assert.equal(await api.get(vmisPath(ns, 'slow')), undefined)
      await api.delete(dataVolumesPath(ns, 'slow'))
      await api.until('the claim is gone', claimsPath(ns, 'slow'), (one) => one === undefined)
    })

    it('copy claims that the user may read, to their node', async () => {
      const { api, volumes } = cluster
      const [ns, other] = [await makeNamespace(api), await makeNamespace(api)]
      await api.create(claimsPath(other), claim('source'))
      const source = await bound(other, 'source')
      const copy = dataVolume('copy', { pvc: { namespace: other, name: 'source' } }, { storage: {} })
      await api.create(dataVolumesPath(ns), copy)
      await succeeded(ns, 'copy')
      const { metadata, spec } = await api.get(claimsPath(ns, 'copy'))
      assert.equal(spec.resources.requests.storage, '1Gi')
      assert.deepEqual(volumes.disks.get(metadata.uid), {
        is: 'clone',
        from: source.metadata.uid,
        fromBytes: 2 ** 30,
      })
      await api.create(`/apis/rbac.authorization.k8s.io/v1/namespaces/${ns}/rolebindings`, {
        metadata: { name: 'jane' },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'admin' },
        subjects: [{ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: 'jane' }],
      })
      const jane = await cluster.as('jane', [])
      const body = { ...copy, metadata: { name: 'theft' } }
      const { code, json } = await eventually('she may make DataVolumes', async () => {
        const answer = await jane.send('POST', dataVolumesPath(ns), { body })
        return answer.code !== 403 && answer
      })
      assert.deepEqual([code, json.details.causes.length], [422, 1])
      assert.match(json.message, new RegExp(`insufficient permissions in clone source namespace ${other}`))
      const template = { metadata: { name: 'theft' }, spec: body.spec }
      const manifest = withVolumes(vm('a', [], { dataVolumeTemplates: [template] }), {
        name: 'data',
        dataVolume: { name: 'theft' },
      })
      assert.equal((await jane.send('POST', vmsPath(ns), { body: manifest })).code, 422)
    })

    it('that are wrong are refused with all reasons at once', async () => {
      const { api } = cluster
      const ns = await makeNamespace(api)
      const refused = async (spec: Any) => {
        const { code, json } = await api.send('POST', dataVolumesPath(ns), { body: { metadata: { name: 'x' }, spec } })
        assert.equal(code, 422, JSON.stringify(json))
        return json.details.causes.map((one: Any) => one.message)
      }
      assert.deepEqual(await refused({}), [
        'Missing Data volume PVC or Storage',
        'Data volume should have either Source, SourceRef, or be externally populated',
      ])
      const pvc = { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } }
      assert.deepEqual(await refused({ pvc, storage: pvc, source: { blank: {}, http: { url: 'ftp://x/y' } } }), [
        'Duplicate storage definition, both target storage and target pvc defined',
        'Multiple dataVolume sources',
        'Invalid source URL scheme: ftp://x/y; use http:// or https://',
      ])
      assert.deepEqual(await refused({ pvc: { ...pvc, resources: {} }, source: { s3: {} } }), [
        'PVC size is missing',
        'Forbidden: spec.source.s3 is refused: use http, registry, pvc, upload or blank',
      ])
    })

    it('of templates are made for their VM, and kept while it exists', async () => {
      const { api } = cluster
      const ns = await makeNamespace(api)
      const template = { metadata: { name: 'root' }, spec: dataVolume('root', { blank: {} }).spec }
      const volume = { name: 'data', dataVolume: { name: 'root' } }
      await run(api, ns, withVolumes(vm('a', [], { dataVolumeTemplates: [template] }), volume))
      const first = await api.get(dataVolumesPath(ns, 'root'))
      assert.equal(first.metadata.ownerReferences[0].name, 'a')
      assert.ok((await events(ns, 'a')).includes('SuccessfulDataVolumeCreate: Created DataVolume root'))
      await api.delete(vmsPath(ns, 'a'))
      await api.until('its DataVolume goes with it', dataVolumesPath(ns, 'root'), (one) => one === undefined)
      await api.until('and the claim', claimsPath(ns, 'root'), (one) => one === undefined)
      const unused = vm('b', [], { dataVolumeTemplates: [template] })
      const { json } = await api.send('POST', vmsPath(ns), { body: unused })
      assert.match(
        json.message,
        /DataVolumeTemplate entry spec.dataVolumeTemplates\[0\] must be referenced in the VMI template's 'volumes' list/,
      )
    })
  })
})
