import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { field, protobufOf, text } from '#kit/machinery/rest/protobuf-kit.ts'
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

  it('of an object without namespace may name one, which means nothing', async () => {
    const rules = [{ verbs: ['get'], nonResourceURLs: ['/metrics'] }]
    const roles = '/apis/rbac.authorization.k8s.io/v1/clusterroles'
    for (const [i, namespace] of ['', 'default', null].entries()) {
      const body = { metadata: { name: `everywhere-${i}`, namespace }, rules }
      const created = await cluster.api.send('POST', roles, { body })
      assert.equal(created.code, 201, created.text)
      const path = `${roles}/everywhere-${i}`
      const apply = { ...body, apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole' }
      const answers = [
        created,
        await cluster.api.send('PUT', path, { body }),
        await cluster.api.send('PATCH', path, { body, type: 'application/merge-patch+json' }),
        await cluster.api.send('PATCH', `${path}?fieldManager=a&force=true`, {
          body: apply,
          type: 'application/apply-patch+yaml',
        }),
      ]
      for (const { code, json, text } of answers) {
        assert.ok(code < 300, text)
        assert.equal('namespace' in json.metadata, false, text)
      }
    }
    const elsewhere = { metadata: { name: 'x', namespace: 'default' } }
    const { code, json } = await cluster.api.send('POST', core('configmaps'), { body: elsewhere })
    assert.deepEqual([code, /does not match the namespace/.test(json.message)], [400, true])
  })

  it('in protobuf is stored as it would be in JSON, owners and times among it', async () => {
    const owner = (await cluster.api.create(core('configmaps'), { metadata: { name: 'owner' } })).metadata
    // As proto2 has it, with empty texts for all that is not set.
    const reference = Buffer.concat([text(5, 'v1'), text(1, 'ConfigMap'), text(3, 'owner'), text(4, owner.uid)])
    const meta = (name: string) =>
      field(1, Buffer.concat([text(1, name), ...[2, 3, 4, 5, 6].map((n) => text(n, '')), field(13, reference)]))
    const rows: readonly [path: string, version: string, kind: string, rest: Buffer, meant: Any][] = [
      [core('configmaps'), 'v1', 'ConfigMap', Buffer.alloc(0), {}],
      [
        group('coordination.k8s.io/v1', 'leases'),
        'coordination.k8s.io/v1',
        'Lease',
        field(2, Buffer.concat([text(1, 'me'), field(4, Buffer.from('080110e807', 'hex'))])),
        { spec: { holderIdentity: 'me', renewTime: '1970-01-01T00:00:01.000001Z' } },
      ],
      [core('serviceaccounts'), 'v1', 'ServiceAccount', field(2, text(3, 's')), { secrets: [{ name: 's' }] }],
    ]
    const type = 'application/vnd.kubernetes.protobuf'
    for (const [path, version, kind, rest, meant] of rows) {
      const name = `wire-${kind.toLowerCase()}`
      const body = protobufOf(version, kind, Buffer.concat([meta(name), rest]))
      const created = await cluster.api.send('POST', path, { body, type })
      assert.equal(created.code, 201, created.text)
      const replaced = await cluster.api.send('PUT', `${path}/${name}`, { body, type })
      assert.equal(replaced.code, 200, replaced.text)
      for (const { json } of [created, replaced]) {
        const { apiVersion, name: of, uid } = json.metadata.ownerReferences[0]
        assert.deepEqual([apiVersion, of, uid], ['v1', 'owner', owner.uid], kind)
        for (const [one, value] of Object.entries(meant)) assert.deepEqual(json[one], value, kind)
      }
    }
  })

  it('with a quantity or a time that is none is refused at once, whatever kind it is of', async () => {
    const machine = (guest: string) => {
      const body = vm('amounts', [], { runStrategy: 'Halted' })
      body.spec.template.spec.domain.memory.guest = guest
      return body
    }
    const vms = group('kubevirt.io/v1', 'virtualmachines')
    const lease = (renewTime: string) => ({ metadata: { name: 'timed' }, spec: { renewTime } })
    const leases = group('coordination.k8s.io/v1', 'leases')
    const about = { kind: 'Pod', name: 'x', namespace: ns }
    const refused: readonly [path: string, body: Any, field: RegExp][] = [
      ...['1gi', '1 Gi', '', '-1Gi', '1K', '0x10'].map((guest): [string, Any, RegExp] => [
        vms,
        machine(guest),
        /spec.template.spec.domain.memory.guest/,
      ]),
      [leases, lease('yesterday'), /spec.renewTime/],
      [core('events'), { metadata: { name: 'e' }, involvedObject: about, firstTimestamp: 'now' }, /firstTimestamp/],
      [core('resourcequotas'), { metadata: { name: 'q' }, spec: { hard: { memory: '1GB' } } }, /spec.hard/],
    ]
    for (const [path, body, field] of refused) {
      const { code, json } = await cluster.api.send('POST', path, { body })
      assert.equal(code, 422, JSON.stringify(json))
      assert.match(json.details.causes[0].field, field)
    }
    for (const guest of ['1E3', '.5Gi', '+1Gi']) {
      const { code, text } = await cluster.api.send('POST', `${vms}?dryRun=All`, { body: machine(guest) })
      assert.equal(code, 201, text)
    }
    assert.equal((await cluster.api.send('POST', leases, { body: lease('2026-01-01T00:00:00.000001Z') })).code, 201)
  })

  it('that is applied says of which version and kind it is', async () => {
    const path = `${core('configmaps', 'typed')}?fieldManager=me`
    const apply = (body: Any) => cluster.api.send('PATCH', path, { body, type: 'application/apply-patch+yaml' })
    const data = { a: 'b' }
    for (const [body, message] of [
      [{ apiVersion: 'v1', data }, /^Object 'Kind' is missing/],
      [
        { kind: 'ConfigMap', data },
        /^Incorrect version specified in apply patch. Specified patch version: , expected: v1$/,
      ],
      [{ apiVersion: 'v2', kind: 'ConfigMap', data }, /patch version: v2, expected: v1$/],
      [{ apiVersion: 'v1', kind: 'Secret', data }, /do not match the expected ones/],
    ] as const) {
      const { code, json } = await apply(body)
      assert.equal(code, 400)
      assert.match(json.message, message)
    }
    assert.equal((await apply({ apiVersion: 'v1', kind: 'ConfigMap', data })).code, 201)
  })

  it('has a generation where Kubernetes counts changes, and nowhere else', async () => {
    const machine = vm('counted', [], { runStrategy: 'Halted' })
    const rows: readonly [path: string, body: Any, generation: number | undefined][] = [
      ['/api/v1/namespaces', {}, undefined],
      ['/api/v1/nodes', { spec: {} }, undefined],
      [core('configmaps'), {}, undefined],
      [core('secrets'), {}, undefined],
      [core('serviceaccounts'), {}, undefined],
      [core('pods'), { spec: { containers: [{ name: 'c' }] } }, 1],
      [group('coordination.k8s.io/v1', 'leases'), {}, undefined],
      [group('k8s.cni.cncf.io/v1', 'network-attachment-definitions'), {}, 1],
      [group('kubevirt.io/v1', 'virtualmachines'), { spec: machine.spec }, 1],
    ]
    for (const [path, body, generation] of rows) {
      const made = await cluster.api.create(`${path}?dryRun=All`, { ...body, metadata: { name: 'counted' } })
      assert.equal(made.metadata.generation, generation, path)
    }
    const { metadata: meta } = await cluster.api.create(core('configmaps'), { metadata: metadata('kept') })
    const changed = await cluster.api.patch(core('configmaps', 'kept'), { data: { a: 'b' } })
    assert.deepEqual([meta.generation, changed.metadata.generation], [undefined, undefined])
  })

  it('is not read as of a revision that there is not yet', async () => {
    const { metadata: meta } = await cluster.api.create(core('configmaps'), { metadata: metadata('read') })
    const read = (revision: string) =>
      cluster.api.send('GET', `${core('configmaps', 'read')}?resourceVersion=${revision}`)
    for (const revision of ['0', '', meta.resourceVersion]) assert.equal((await read(revision)).code, 200)
    const { code, json } = await read('999999999')
    assert.equal(code, 504)
    assert.match(json.message, /^Timeout: Too large resource version: 999999999/)
  })
})
