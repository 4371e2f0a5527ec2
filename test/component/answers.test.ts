import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { type Any, nadsPath, vmsPath } from './api.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { makeNamespace, vm } from './manifests.ts'

describe('an answer', () => {
  let cluster: Cluster
  let ns: string
  let maps: string
  before(async () => {
    cluster = await startCluster()
    ns = await makeNamespace(cluster.api, ['red'])
    maps = `/api/v1/namespaces/${ns}/configmaps`
    // More of them than a list has in one part.
    for (let i = 0; i < 130; i++) await cluster.api.create(maps, { metadata: { name: `m${i}` }, data: { a: 'b\nc' } })
    await cluster.api.create(vmsPath(ns), vm('a', [], { runStrategy: 'Halted' }))
  })
  after(() => cluster?.stop())

  const people: readonly [agent: string, query: string, isPretty: boolean][] = [
    ['kubectl/v1.32.0', '', false],
    ['curl/8.5.0', '', true],
    ['Wget/1.21', '', true],
    ['Mozilla/5.0 (X11; Linux x86_64)', '', true],
    ['Mozilla/4.0', '', false],
    ['not curl', '', false],
    ['curl/8.5.0', 'pretty=false', false],
    ['curl/8.5.0', 'pretty=', true],
    ['curl/8.5.0', 'pretty=nonsense', false],
    ['kubectl/v1.32.0', 'pretty=true', true],
    ['kubectl/v1.32.0', 'pretty=1', true],
  ]
  for (const [agent, query, isPretty] of people)
    it(`to ${agent} with "${query}" is ${isPretty ? 'indented' : 'one line'}`, async () => {
      const table = 'application/json;as=Table;v=v1;g=meta.k8s.io'
      const asked: readonly [path: string, accept: string][] = [
        [`${maps}/m1`, 'application/json'],
        [`${maps}/nobody`, 'application/json'],
        [maps, 'application/json'],
        [maps, table],
        [vmsPath(ns), 'application/json'],
        ['/version', 'application/json'],
      ]
      for (const [path, accept] of asked) {
        const headers = { accept, 'user-agent': agent }
        const { text, json } = await cluster.api.send('GET', `${path}?${query}`, { headers })
        assert.equal(text, isPretty ? JSON.stringify(json, null, 2) : JSON.stringify(json), path)
      }
    })

  it('names its request in the audit log, whatever it is', async () => {
    const ids = new Set<string>()
    const note = ({ headers }: { headers: Any }) => {
      assert.match(headers['audit-id'], /^[0-9a-f-]{36}$/)
      ids.add(headers['audit-id'])
    }
    const paths = [
      ...[
        maps,
        `${maps}/m1`,
        `${maps}/nobody`,
        `${maps}?watch=1&timeoutSeconds=1`,
        `${maps}?watch=1&resourceVersion=x`,
      ],
      ...['/version', '/healthz', '/openapi/v3', '/apis', '/nosuch', '/metrics'],
    ]
    for (const path of paths) note(await cluster.api.send('GET', path))
    note(await cluster.anonymous.send('GET', maps))
    note(await cluster.api.send('PUT', maps))
    note(await cluster.api.send('POST', maps, { body: '{', type: 'application/json' }))
    note(await cluster.api.send('GET', maps, { headers: { accept: 'text/csv' } }))
    note(await cluster.api.send('PUT', `/apis/subresources.kubevirt.io/v1/namespaces/${ns}/virtualmachines/a/start`))
    assert.equal(ids.size, paths.length + 5)
  })

  it('that is a list of a built-in kind does not say of each item what it is; one of custom resources does', async () => {
    const said = async (path: string) => {
      const { kind, items } = (await cluster.api.send('GET', path)).json
      return [kind, items[0].kind, items[0].apiVersion]
    }
    assert.deepEqual(await said(maps), ['ConfigMapList', undefined, undefined])
    assert.deepEqual(await said('/api/v1/nodes'), ['NodeList', undefined, undefined])
    const roles = '/apis/rbac.authorization.k8s.io/v1/clusterroles'
    assert.deepEqual(await said(roles), ['ClusterRoleList', undefined, undefined])
    assert.deepEqual(await said(vmsPath(ns)), ['VirtualMachineList', 'VirtualMachine', 'kubevirt.io/v1'])
    const nad = 'NetworkAttachmentDefinition'
    assert.deepEqual(await said(nadsPath(ns)), [`${nad}List`, nad, 'k8s.cni.cncf.io/v1'])
    const { json } = await cluster.api.send('DELETE', `${maps}?fieldSelector=metadata.name=m1`)
    assert.deepEqual([json.items.length, json.items[0].kind], [1, undefined])
  })
})
