import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { vmisPath, vmsPath } from './api.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { condition, makeNamespace, running, vm } from './manifests.ts'
import { claimsPath, dataVolume, dataVolumesPath, withVolumes } from './volumes.ts'

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
})
