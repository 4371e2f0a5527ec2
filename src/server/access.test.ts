import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RoleBinding } from '#apis/rbac/binding.ts'
import { ClusterRole, Role } from '#apis/rbac/role.ts'
import type { JsonObject } from '#base/json.ts'
import { Authorizer } from '#machinery/rest/access/authorizer.ts'
import { accessKinds } from './access.ts'

const admin = {
  verbs: ['*'],
  apiGroups: ['rbac.authorization.k8s.io'],
  resources: ['roles', 'clusterroles', 'rolebindings'],
}
const root = { verbs: ['*'], apiGroups: ['*'], resources: ['*'] }
const access = new Authorizer({
  role: (_namespace, name) =>
    name === 'root' ? { rules: [root] } : { rules: [{ ...admin, verbs: ['get', 'update'] }] },
  bindings: (namespace) =>
    namespace ? [] : [{ roleRef: { kind: 'ClusterRole', name: 'admin' }, subjects: [{ kind: 'User', name: 'jane' }] }],
})
const jane = { name: 'jane', groups: [] }

/** What the rules of a kind say to a write by jane. */
function write(kind: string, next: JsonObject, old: JsonObject | undefined) {
  const { strategy } = accessKinds(access).find((one) => one.kind.kind === kind)!
  return strategy.validate!(next as never, old as never, jane)
}

const role = (metadata: JsonObject = {}): JsonObject => ({
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: ClusterRole.kind,
  metadata: { name: 'root', resourceVersion: '1', ...metadata },
  rules: [root],
})

test('nobody labels a role that has more than they have: aggregating roles select by labels', () => {
  const labels = { 'rbac.authorization.k8s.io/aggregate-to-view': 'true' }
  assert.throws(() => write('ClusterRole', role({ labels }), role()), {
    kind: 'Forbidden',
    message: /not currently held/,
  })
  assert.throws(() => write('ClusterRole', role(), role({ labels })), { kind: 'Forbidden' })
})

test('dropping finalizers and owners of a role or binding gives nothing', () => {
  const held = { finalizers: ['x/a'], ownerReferences: [{ uid: 'u' }] }
  assert.deepEqual(write('ClusterRole', role({ resourceVersion: '2' }), role(held)), [])
})

test('any change of a binding is judged as giving what its role allows', () => {
  const binding = (metadata: JsonObject = {}): JsonObject => ({
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: RoleBinding.kind,
    metadata: { name: 'b', namespace: 'a', ...metadata },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'root' },
    subjects: [],
  })
  assert.throws(() => write('RoleBinding', binding({ labels: { a: 'b' } }), binding()), { kind: 'Forbidden' })
  assert.deepEqual(write('RoleBinding', binding(), binding({ finalizers: ['x/a'] })), [])
})

test('a rule of very many combinations is refused before it is compared with anything', () => {
  const many = Array.from({ length: 100 }, (_, i) => `x${i}`)
  const rules = [{ verbs: many, apiGroups: many, resources: many, resourceNames: many }]
  const metadata = { name: 'r', namespace: 'a' }
  const errors = write(
    'Role',
    { apiVersion: 'rbac.authorization.k8s.io/v1', kind: Role.kind, metadata, rules },
    undefined,
  )
  assert.deepEqual(errors, [
    {
      field: 'rules[0]',
      message:
        'Invalid value: 100000000 combinations of verbs, apiGroups, resources and resourceNames: must be at most 10000; write several rules',
      reason: 'FieldValueInvalid',
    },
  ])
})
