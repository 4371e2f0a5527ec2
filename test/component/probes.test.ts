import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { vmisPath, vmsPath } from './api.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { condition, makeNamespace, podOf, run, statePatch, vm } from './manifests.ts'

describe('probes of guests', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster()
  })
  after(() => cluster?.stop())

  const withProbe = (probe: object) => {
    const manifest = vm('a')
    Object.assign(manifest.spec.template.spec, probe)
    return manifest
  }

  it('a primary link that is cut makes a VM with a readiness probe not ready, until it is up again', async () => {
    const ns = await makeNamespace(cluster.api)
    const readinessProbe = { tcpSocket: { port: 80 }, periodSeconds: 1, failureThreshold: 1 }
    await run(cluster.api, ns, withProbe({ readinessProbe }))
    const isReady = (status: string) => (one: object) => condition(one, 'Ready')?.status === status
    await cluster.api.until('ready', vmsPath(ns, 'a'), isReady('True'))
    await cluster.api.patch(vmsPath(ns, 'a'), statePatch(['down']))
    const ill = await cluster.api.until('not ready', vmsPath(ns, 'a'), isReady('False'))
    assert.equal(condition(ill, 'Ready').reason, 'ContainersNotReady')
    assert.equal(condition(ill, 'Ready').message, 'readiness probe failed: no answer within 1 s')
    assert.equal(ill.status.printableStatus, 'Running')
    await cluster.api.patch(vmsPath(ns, 'a'), statePatch(['up']))
    await cluster.api.until('ready again', vmsPath(ns, 'a'), isReady('True'))
  })

  it('a guest whose liveness probe fails is ended, and another one is started', async () => {
    const ns = await makeNamespace(cluster.api)
    const livenessProbe = { httpGet: { port: 80 }, periodSeconds: 1, failureThreshold: 2 }
    await run(cluster.api, ns, withProbe({ livenessProbe }))
    const before = await cluster.api.get(vmisPath(ns, 'a'))
    const pod = await podOf(cluster.api, ns, 'a')
    cluster.sandboxes.setLink(pod.metadata.uid, 'default', 'up')
    await cluster.api.patch(vmsPath(ns, 'a'), statePatch(['down']))
    await cluster.api.until(
      'another instance',
      vmisPath(ns, 'a'),
      (vmi) => vmi && vmi.metadata.uid !== before.metadata.uid,
    )
    const events = await cluster.api.list(`/api/v1/namespaces/${ns}/events`)
    const unhealthy = events.find((event) => event.reason === 'Unhealthy')
    assert.equal(unhealthy?.message, 'Liveness probe failed: no answer within 1 s; the guest is ended')
  })

  it('a probe that makes no sense is refused, all errors at once', async () => {
    const ns = await makeNamespace(cluster.api)
    const body = withProbe({ readinessProbe: {}, livenessProbe: { tcpSocket: { port: 'nowhere' } } })
    const { code, json } = await cluster.api.send('POST', vmsPath(ns), { body })
    assert.equal(code, 422)
    assert.deepEqual(
      json.details.causes.map((cause: { field: string }) => cause.field),
      ['spec.template.spec.readinessProbe', 'spec.template.spec.livenessProbe.tcpSocket.port'],
    )
  })

  it('a probe reaches its own guest only, within times that make sense', async () => {
    const ns = await makeNamespace(cluster.api)
    const readinessProbe = {
      httpGet: { host: '127.0.0.1', port: 1 },
      periodSeconds: 9_999_999_999,
      timeoutSeconds: 86_400,
    }
    const { code, json } = await cluster.api.send('POST', vmsPath(ns), { body: withProbe({ readinessProbe }) })
    assert.equal(code, 422)
    assert.deepEqual(
      json.details.causes.map((cause: { field: string }) => cause.field),
      ['httpGet.host', 'timeoutSeconds', 'periodSeconds'].map((field) => `spec.template.spec.readinessProbe.${field}`),
    )
  })
})
