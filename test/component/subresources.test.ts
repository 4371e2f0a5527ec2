import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { absentSubresources } from '#controllers/absent-subresources.ts'
import { type Any, podsPath, vmisPath, vmsPath } from './api.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { Kubectl, noKubectl } from './kubectl.ts'
import { makeNamespace, run, vm } from './manifests.ts'

describe('subresources that are not built', () => {
  let cluster: Cluster
  let ns: string
  let pod: string
  before(async () => {
    cluster = await startCluster()
    ns = await makeNamespace(cluster.api)
    await run(cluster.api, ns, vm('a'))
    pod = (await cluster.api.list(podsPath(ns)))[0].metadata.name
  })
  after(() => cluster?.stop())

  for (const { at, subresource, instead } of absentSubresources)
    it(`${at.plural}/${subresource} is said not to be there, with what to use, whatever the method`, async () => {
      const root = at.group ? `/apis/${at.group}/${at.version}` : `/api/${at.version}`
      const name = at.plural === 'pods' ? pod : 'a'
      for (const method of ['GET', 'PUT', 'POST']) {
        const path = `${root}/namespaces/${ns}/${at.plural}/${name}/${subresource}`
        const { code, json } = await cluster.api.send(method, path, method === 'GET' ? {} : { body: {} })
        assert.deepEqual([code, json.reason], [404, 'NotFound'], method)
        assert.equal(json.message, `there is no ${at.plural}/${subresource} here: ${instead}`)
      }
    })

  it('one that nobody knows is not found either, and not taken for an object', async () => {
    const { code, json } = await cluster.api.send('GET', `${vmsPath(ns, 'a')}/bogus`)
    assert.equal(code, 404)
    assert.doesNotMatch(json.message, /"a" not found/)
  })

  it('kubectl shows the sentence', { skip: noKubectl }, async () => {
    const k = new Kubectl(cluster.dir, ns)
    for (const [args, text] of [
      [`logs ${pod}`, /there is no pods\/log here: the output of a guest's serial console is not kept/],
      [`exec ${pod} -- ls`, /there is no pods\/exec here: a launcher pod has no containers/],
      [`attach ${pod}`, /there is no pods\/attach here/],
      [`port-forward pod/${pod} 8080:80`, /there is no pods\/portforward here: .*; reach the guest at its addresses/],
      ['scale vm/a --replicas=0', /there is no virtualmachines\/scale here: a VM has one instance at most/],
    ] as const) {
      const { code, out, err } = await k.run(args.split(' '))
      assert.notEqual(code, 0, args)
      assert.match(out + err, text)
    }
  })

  it('what KubeVirt answers in plain text is plain text', async () => {
    await cluster.api.create(vmsPath(ns), { ...vm('halted'), spec: { ...vm('halted').spec, runStrategy: 'Halted' } })
    const base = `/apis/subresources.kubevirt.io/v1/namespaces/${ns}/virtualmachineinstances`
    const none = await cluster.api.send('GET', `${base}/halted/guestosinfo`)
    assert.equal(none.code, 404)
    const info: Any = await cluster.api.send('GET', `${base}/a/guestosinfo`)
    assert.equal(info.code, 200)
    const { status } = (await cluster.api.send('GET', vmisPath(ns, 'a'))).json
    assert.ok(status.guestOSInfo)
  })

  it('virtctl is told the version of the KubeVirt whose API it is', async () => {
    const { json } = await cluster.api.send('GET', '/apis/subresources.kubevirt.io/v1/version')
    assert.deepEqual([json.gitVersion, json.major, json.minor], ['v1.6.0', '1', '6'])
  })
})
