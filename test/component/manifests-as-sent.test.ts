import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Any } from './api.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { makeNamespace, vm } from './manifests.ts'

describe('a manifest', () => {
  let cluster: Cluster
  let ns: string
  before(async () => {
    cluster = await startCluster()
    ns = await makeNamespace(cluster.api, [])
  })
  after(() => cluster?.stop())

  const core = (plural: string, name = '') => `/api/v1/namespaces/${ns}/${plural}${name && `/${name}`}`
  const group = (name: string, plural: string) => `/apis/${name}/namespaces/${ns}/${plural}`
  const metadata = (name: string) => ({ name, namespace: null, labels: null, ownerReferences: null })

  it('with null for any field is created, replaced and patched as if the field was absent', async () => {
    const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'r' }
    const rule = { verbs: ['get'], apiGroups: [''], resources: ['pods'], nonResourceURLs: null, resourceNames: null }
    const { spec } = vm('nulls', [], { runStrategy: 'Halted' }) as Any
    const rows: readonly [path: string, nulls: Any, meant: Any][] = [
      [core('configmaps'), { data: null, binaryData: null, immutable: null }, {}],
      [core('configmaps'), { data: { a: null, b: 'x' } }, { data: { a: '', b: 'x' } }],
      [core('secrets'), { data: null, stringData: { a: null }, type: null }, { data: { a: '' }, type: 'Opaque' }],
      [core('serviceaccounts'), { secrets: null, imagePullSecrets: null, automountServiceAccountToken: null }, {}],
      [core('pods'), { spec: { containers: [{ name: 'c', ports: null }], volumes: null, nodeSelector: null } }, {}],
      [core('resourcequotas'), { spec: { hard: { pods: '9' }, scopes: null, scopeSelector: null } }, {}],
      [group('rbac.authorization.k8s.io/v1', 'roles'), { rules: [rule] }, {}],
      [group('rbac.authorization.k8s.io/v1', 'rolebindings'), { roleRef, subjects: null }, { roleRef }],
      [
        group('coordination.k8s.io/v1', 'leases'),
        { spec: { holderIdentity: null, leaseTransitions: null } },
        { spec: {} },
      ],
      [group('k8s.cni.cncf.io/v1', 'network-attachment-definitions'), { spec: null }, {}],
      [
        group('kubevirt.io/v1', 'virtualmachines'),
        { spec: { ...spec, running: null, dataVolumeTemplates: null, instancetype: null } },
        {},
      ],
    ]
    for (const [i, [path, nulls, meant]] of rows.entries()) {
      const name = `n${i}`
      const created = await cluster.api.send('POST', `${path}?fieldValidation=Strict`, {
        body: { metadata: metadata(name), ...nulls },
      })
      assert.equal(created.code, 201, `${path}: ${created.text}`)
      const bare = ({ metadata: _m, status: _s, ...rest }: Any) => rest
      const rest = bare(created.json)
      for (const [field, value] of Object.entries(meant)) assert.deepEqual(rest[field], value, `${path} ${field}`)
      assert.ok(!JSON.stringify(rest).includes('null'), `${path}: ${JSON.stringify(rest)}`)
      const replaced = await cluster.api.send('PUT', `${path}/${name}`, {
        body: { metadata: metadata(name), ...nulls },
      })
      assert.equal(replaced.code, 200, `${path}: ${replaced.text}`)
      assert.deepEqual(bare(replaced.json), rest)
      // A JSON patch is the one that can leave a null behind.
      const patch = Object.keys(nulls).map((field) => ({ op: 'add', path: `/${field}`, value: nulls[field] }))
      const type = 'application/json-patch+json'
      const patched = await cluster.api.send('PATCH', `${path}/${name}`, { body: patch, type })
      assert.equal(patched.code, 200, `${path}: ${patched.text}`)
      assert.deepEqual(bare(patched.json), rest)
    }
  })
})
