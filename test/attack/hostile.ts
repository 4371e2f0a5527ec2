import { pick, type Random } from '../component/random.ts'

export type Hostile = Readonly<{
  method: string
  path: string
  headers?: Record<string, string>
  type?: string
  body?: string | Buffer
}>

const many = 2000

/** `tag` and length of a field of a protobuf message, then its bytes. */
function field(number: number, data: Buffer): Buffer {
  return Buffer.concat([varint((number << 3) | 2), varint(data.length), data])
}

function varint(value: number): Buffer {
  const bytes: number[] = []
  for (let left = value; ; left = Math.floor(left / 128)) {
    if (left < 128) return Buffer.from([...bytes, left])
    bytes.push((left % 128) | 128)
  }
}

/** A body of client-go's protobuf whose metadata has many labels and finalizers. */
function protobuf(): Buffer {
  const label = (i: number) => Buffer.concat([field(1, Buffer.from(`k${i}`)), field(2, Buffer.from('v'))])
  const labels = Array.from({ length: many }, (_, i) => field(11, label(i)))
  const finalizers = Array.from({ length: many }, (_, i) => field(14, Buffer.from(`a/b${i}`)))
  const object = field(1, Buffer.concat([field(1, Buffer.from('x')), ...labels, ...finalizers]))
  const type = Buffer.concat([field(1, Buffer.from('v1')), field(2, Buffer.from('ConfigMap'))])
  return Buffer.concat([Buffer.from('k8s\0'), field(1, type), field(2, object)])
}

const json = (value: unknown) => JSON.stringify(value)
const list = (make: (i: number) => unknown, count = many) => Array.from({ length: count }, (_, i) => make(i))
const vms = (ns: string, name = '') => `/apis/kubevirt.io/v1/namespaces/${ns}/virtualmachines${name}`
const maps = (ns: string, name = '') => `/api/v1/namespaces/${ns}/configmaps${name}`
const rbac = '/apis/rbac.authorization.k8s.io/v1'
const review = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews'
const patchTypes = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
}

/** Requests that were made to hurt: what a server pays for them grows faster than they do, or they ask for what is not theirs. */
const makers: readonly ((ns: string) => Hostile)[] = [
  () => ({ method: 'POST', path: review, type: 'application/vnd.kubernetes.protobuf', body: protobuf() }),
  (ns) => ({ method: 'POST', path: maps(ns), type: 'application/vnd.kubernetes.protobuf', body: protobuf() }),
  (ns) => ({
    method: 'PATCH',
    path: vms(ns, '/a'),
    type: patchTypes.json,
    body: json(list((i) => ({ op: 'move', from: '/spec', path: `/x${i}` }))),
  }),
  (ns) => ({
    method: 'PATCH',
    path: maps(ns, '/a'),
    type: patchTypes.json,
    body: json(list((i) => ({ op: 'copy', from: '', path: `/data/x${i}` }))),
  }),
  (ns) => ({
    method: 'PATCH',
    path: vms(ns, '/a'),
    type: patchTypes.strategic,
    body: json({ spec: { template: { spec: { networks: list((i) => ({ name: `n${i}` })) } } } }),
  }),
  (ns) => ({
    method: 'PATCH',
    path: maps(ns, '/a'),
    type: patchTypes.merge,
    body: json({ metadata: { finalizers: list((i) => `a/b${i}`) } }),
  }),
  (ns) => ({
    method: 'POST',
    path: vms(ns),
    body: json({ spec: { template: { spec: { domain: { devices: { interfaces: list(() => 1) } } } } } }),
  }),
  (ns) => ({
    method: 'POST',
    path: vms(ns),
    body: json(Object.fromEntries(list((i) => [`unknown${i}`, i]) as [string, number][])),
  }),
  (ns) => ({ method: 'GET', path: `${maps(ns)}?labelSelector=${'a,'.repeat(15_000)}` }),
  (ns) => ({ method: 'GET', path: `${maps(ns)}?labelSelector=a%20in%20(${'b,'.repeat(10_000)})` }),
  (ns) => ({
    method: 'POST',
    path: maps(ns),
    type: 'application/yaml',
    body: `a: &a [${'x,'.repeat(500)}]\nb: [${'*a,'.repeat(500)}]\n`,
  }),
  (ns) => ({ method: 'POST', path: maps(ns), body: `${'['.repeat(20_000)}${']'.repeat(20_000)}` }),
  (ns) => ({
    method: 'POST',
    path: `${rbac}/namespaces/${ns}/roles`,
    body: json({
      metadata: { generateName: 'r' },
      rules: [
        {
          verbs: list((i) => `v${i}`, 60),
          apiGroups: list((i) => `g${i}`, 60),
          resources: list((i) => `r${i}`, 60),
          resourceNames: list((i) => `n${i}`, 60),
        },
      ],
    }),
  }),
  (ns) => ({
    method: 'POST',
    path: `${rbac}/namespaces/${ns}/rolebindings`,
    body: json({
      metadata: { name: 'mine' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
      subjects: [{ kind: 'Group', name: 'system:authenticated', apiGroup: 'rbac.authorization.k8s.io' }],
    }),
  }),
  () => ({
    method: 'PATCH',
    path: `${rbac}/clusterroles/cluster-admin`,
    type: patchTypes.merge,
    body: json({ metadata: { labels: { 'rbac.authorization.k8s.io/aggregate-to-view': 'true' } } }),
  }),
  (ns) => ({
    method: 'GET',
    path: `/api/v1/namespaces/${ns}/secrets`,
    headers: { 'impersonate-user': 'admin', 'impersonate-group': 'system:masters' },
  }),
  (ns) => ({
    method: 'GET',
    path: `/api/v1/namespaces/${ns}/secrets`,
    headers: { 'x-remote-user': 'admin', 'x-remote-group': 'system:masters' },
  }),
  (ns) => ({ method: 'GET', path: `/api/v1/namespaces/${ns}/%2e%2e/kube-system/secrets` }),
  (ns) => ({ method: 'GET', path: `/api/v1//namespaces/${ns}/secrets` }),
  (ns) => ({
    method: 'POST',
    path: `${maps(ns)}?fieldSelector=metadata.name%3Donly`,
    body: json({ metadata: { name: 'other' } }),
  }),
  (ns) => ({
    method: 'POST',
    path: vms(ns),
    body: json({
      metadata: { name: 'k' },
      spec: {
        template: {
          spec: {
            domain: {
              devices: {},
              firmware: { kernelBoot: { container: { image: '../x', initrdPath: '../../etc/shadow' } } },
            },
          },
        },
      },
    }),
  }),
  (ns) => ({
    method: 'POST',
    path: vms(ns),
    body: json({
      metadata: {
        name: 'm',
        managedFields: list((i) => ({
          manager: `m${i}`,
          operation: 'Update',
          apiVersion: 'v1',
          fieldsType: 'FieldsV1',
          fieldsV1: {},
        })),
      },
      spec: { template: { spec: { domain: { devices: {} } } } },
    }),
  }),
  (ns) => ({
    method: 'POST',
    path: `/api/v1/namespaces/${ns}/serviceaccounts/default/token`,
    body: json({ spec: { expirationSeconds: 2 ** 32 } }),
  }),
  () => ({
    method: 'GET',
    path: '/openapi/v2',
    headers: { accept: 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf' },
  }),
  (ns) => ({ method: 'POST', path: maps(ns), headers: { 'user-agent': 'x'.repeat(8000) }, body: 'x' }),
  () => ({ method: 'DELETE', path: '/api/v1/nodes/node1' }),
  () => ({ method: 'POST', path: '/api/v1/nodes', body: json({ metadata: { name: 'evil' } }) }),
  () => ({ method: 'DELETE', path: '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/node2' }),
]

/** One of the requests that were made to hurt. */
export function hostile(random: Random, namespace: string): Hostile {
  return pick(random, makers)(namespace)
}
