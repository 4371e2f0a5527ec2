import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
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

  it('the log of a pod is what its guest’s console said, and kubectl shows it', { skip: noKubectl }, async () => {
    const k = new Kubectl(cluster.dir, ns)
    assert.equal(await k.ok(`logs ${pod}`), '')
    const { uid } = (await cluster.api.send('GET', `${podsPath(ns)}/${pod}`)).json.metadata
    const folder = `${cluster.dir.pods}/${uid}/run`
    await mkdir(folder, { recursive: true })
    await writeFile(`${folder}/console.log.1`, 'Linux version 6\nbooting\n')
    await writeFile(`${folder}/console.log`, 'welcome\n')
    assert.equal(await k.ok(`logs ${pod}`), 'Linux version 6\nbooting\nwelcome\n')
    assert.equal(await k.ok(`logs ${pod} -c compute --tail=1`), 'welcome\n')
    assert.equal(await k.ok('logs -l kubevirt.io=virt-launcher --tail=2'), 'booting\nwelcome\n')
    assert.match(await k.fails(`logs ${pod} -f`), /the log is not followed; leave out -f/)
    assert.match(await k.fails(`logs ${pod} --previous`), /previous terminated container "compute" in pod .* not found/)
    assert.match(await k.fails('logs nothing'), /pods "nothing" not found/)
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
