import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { eventually } from '#base/wait.ts'
import { vmisPath, vmsPath } from './api.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { condition, makeNamespace, running, vm } from './manifests.ts'
import { claim, claimsPath, dataSourcesPath, dataVolume, dataVolumesPath, withVolumes } from './volumes.ts'

const base64 = (text: string) => Buffer.from(text).toString('base64')

describe('DataVolumes', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster()
  })
  after(async () => {
    const errors = cluster?.errors ?? []
    await cluster?.stop()
    assert.deepEqual(errors, [])
  })
  const succeeded = (ns: string, name: string) =>
    cluster.api.until(`${name} is done`, dataVolumesPath(ns, name), (one) => one?.status?.phase === 'Succeeded')
  const contentOf = async (ns: string, name: string) => {
    const { metadata } = await cluster.api.get(claimsPath(ns, name))
    return cluster.volumes.disks.get(metadata.uid)
  }

  it('wait for the Secrets and ConfigMaps that their source names, and have what is in them then', async () => {
    const { api } = cluster
    const ns = await makeNamespace(api)
    const http = {
      ...{ url: 'https://images.example/disk', secretRef: 'user', certConfigMap: 'authorities' },
      ...{ extraHeaders: ['X-One: 1'], secretExtraHeaders: ['headers'] },
    }
    await api.create(dataVolumesPath(ns), dataVolume('root', { http }))
    await api.create(vmsPath(ns), withVolumes(vm('a'), { name: 'data', dataVolume: { name: 'root' } }))
    const waits = (sentence: RegExp) =>
      api.until(`it waits: ${sentence}`, dataVolumesPath(ns, 'root'), (one) =>
        sentence.test(condition(one, 'Running')?.message ?? ''),
      )
    const { status } = await waits(/^Secret \S+\/user does not exist, waiting for it to appear; ConfigMap /)
    assert.deepEqual([status.phase, condition({ status }, 'Running').reason], ['ImportScheduled', 'Pending'])
    await api.until('its VM waits', vmsPath(ns, 'a'), (one) => one?.status?.printableStatus === 'Provisioning')
    const secretsPath = `/api/v1/namespaces/${ns}/secrets`
    const user = { accessKeyId: base64('joe'), secretKey: base64('pa55-of-joe') }
    await api.create(secretsPath, { metadata: { name: 'user' }, data: user })
    await api.create(secretsPath, { metadata: { name: 'headers' }, data: { any: base64('X-Token: t0ken-of-joe') } })
    await waits(/^ConfigMap \S+\/authorities does not exist/)
    const pem = '-----BEGIN CERTIFICATE-----'
    await api.create(`/api/v1/namespaces/${ns}/configmaps`, { metadata: { name: 'authorities' }, data: { ca: pem } })
    await succeeded(ns, 'root')
    await running(api, ns, 'a')
    assert.deepEqual(await contentOf(ns, 'root'), {
      is: 'image',
      pull: {
        ...{ reference: http.url, isAlways: true },
        access: {
          login: { username: 'joe', password: 'pa55-of-joe' },
          headers: { 'x-one': '1', 'x-token': 't0ken-of-joe' },
          ...{ ca: pem, scope: ns },
        },
      },
    })
    const seen = [
      await api.get(dataVolumesPath(ns, 'root')),
      await api.get(claimsPath(ns, 'root')),
      await api.get(vmisPath(ns, 'a')),
      await api.list(`/api/v1/namespaces/${ns}/events`),
    ]
    assert.doesNotMatch(JSON.stringify(seen), /pa55|t0ken|cGE1NS/)
  })

  it('whose headers cannot be sent are refused, by name', async () => {
    const { api } = cluster
    const http = { url: 'https://images.example/disk', extraHeaders: ['X-One: 1', 'Host: other.example', 'none'] }
    const { code, json } = await api.send('POST', dataVolumesPath('default'), { body: dataVolume('x', { http }) })
    assert.deepEqual(
      [code, json.details.causes.map(({ field }: { field: string }) => field)],
      [422, ['spec.source.http.extraHeaders[1]', 'spec.source.http.extraHeaders[2]']],
    )
  })

  it('by reference wait for the DataSource, and copy what it offers then', async () => {
    const { api, volumes } = cluster
    const [ns, images] = [await makeNamespace(api), await makeNamespace(api)]
    const sourceRef = { kind: 'DataSource', namespace: images, name: 'stream' }
    const template = { metadata: { name: 'root' }, spec: { sourceRef, storage: {} } }
    const volume = { name: 'data', dataVolume: { name: 'root' } }
    await api.create(vmsPath(ns), withVolumes(vm('a', [], { dataVolumeTemplates: [template] }), volume))
    await api.until('it waits', dataVolumesPath(ns, 'root'), (one) =>
      /^DataSource \S+\/stream does not exist, waiting/.test(condition(one, 'Bound')?.message ?? ''),
    )
    await api.until('its VM waits', vmsPath(ns, 'a'), (one) => one?.status?.printableStatus === 'Provisioning')
    const offers = (name: string, source: unknown) =>
      api.create(dataSourcesPath(images), { metadata: { name }, spec: { source } })
    const ready = (name: string, reason: string) =>
      api.until(
        `${name} is ${reason}`,
        dataSourcesPath(images, name),
        (one) => condition(one, 'Ready')?.reason === reason,
      )
    await offers('stream', { dataSource: { name: 'stream9' } })
    await ready('stream', 'NotFound')
    await offers('stream9', { pvc: { namespace: images, name: 'golden' } })
    await api.until('it waits for the claim', dataVolumesPath(ns, 'root'), (one) =>
      /^Source pvc \S+\/golden not found$/.test(condition(one, 'Bound')?.message ?? ''),
    )
    await api.create(claimsPath(images), claim('golden'))
    const { status } = await ready('stream', 'Ready')
    assert.deepEqual(status.source, { pvc: { namespace: images, name: 'golden' } })
    assert.equal(condition({ status }, 'Ready').message, 'DataSource is ready to be consumed')
    await succeeded(ns, 'root')
    await running(api, ns, 'a')
    const golden = await api.get(claimsPath(images, 'golden'))
    assert.deepEqual(await contentOf(ns, 'root'), { is: 'clone', from: golden.metadata.uid, fromBytes: 2 ** 30 })
    assert.equal((await api.get(claimsPath(ns, 'root'))).spec.resources.requests.storage, '1Gi')
    // What was copied is not taken back.
    await api.delete(dataSourcesPath(images, 'stream9'))
    await ready('stream', 'NotFound')
    assert.equal((await api.get(dataVolumesPath(ns, 'root'))).status.phase, 'Succeeded')
    volumes.disks.delete(golden.metadata.uid)
  })

  it('by reference need the right to get the DataSource, and that to get what it offers', async () => {
    const { api } = cluster
    const [ns, images] = [await makeNamespace(api), await makeNamespace(api)]
    await api.create(`/apis/rbac.authorization.k8s.io/v1/namespaces/${ns}/rolebindings`, {
      metadata: { name: 'jane' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'admin' },
      subjects: [{ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: 'jane' }],
    })
    const jane = await cluster.as('jane', [])
    const refused = (path: string, body: unknown) =>
      eventually('she may write in her namespace', async () => {
        const { code, json } = await jane.send('POST', path, { body })
        return code !== 403 && [code, ...json.details.causes.map(({ field }: { field: string }) => field)]
      })
    const sourceRef = { kind: 'DataSource', namespace: images, name: 'stream' }
    const theft = { metadata: { name: 'theft' }, spec: { sourceRef, storage: {} } }
    assert.deepEqual(await refused(dataVolumesPath(ns), theft), [422, 'spec.sourceRef'])
    const volume = { name: 'data', dataVolume: { name: 'theft' } }
    const thief = withVolumes(vm('a', [], { dataVolumeTemplates: [theft] }), volume)
    assert.deepEqual(await refused(vmsPath(ns), thief), [422, 'spec.dataVolumeTemplates[0].spec.sourceRef'])
    for (const source of [{ pvc: { namespace: images, name: 'x' } }, { dataSource: { namespace: images, name: 'x' } }])
      assert.deepEqual(await refused(dataSourcesPath(ns), { metadata: { name: 'own' }, spec: { source } }), [
        ...[422, `spec.source.${Object.keys(source)[0]}`],
      ])
    const wrong = { metadata: { name: 'x' }, spec: { source: { blank: {} }, sourceRef: { kind: 'Disk', name: '' } } }
    const { json } = await api.send('POST', dataVolumesPath(ns), { body: wrong })
    assert.deepEqual(
      json.details.causes.map(({ field }: { field: string }) => field),
      ['spec', 'spec', 'spec.sourceRef.kind', 'spec.sourceRef.name'],
    )
  })
})
