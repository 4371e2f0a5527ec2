import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ConfigMap } from '#apis/core/configmap.ts'
import type { Secret } from '#apis/core/secret.ts'
import type { RoleBinding } from '#apis/rbac/binding.ts'
import type { Role } from '#apis/rbac/role.ts'
import { configMapErrors, configMapWithDefaults, secretErrors, secretWithDefaults } from './config.ts'
import { bindingErrors, bindingWithDefaults, roleErrors } from './rbac.ts'

const secret = (over: object): Secret => ({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 's' }, ...over })
const map = (over: object): ConfigMap => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'm' }, ...over })
const lines = (errors: readonly { field: string; message: string }[]) =>
  errors.map(({ field, message }) => `${field}: ${message}`)

test('texts of a Secret become base64, and its type is Opaque unless it says another', () => {
  const stored = secretWithDefaults(secret({ data: { a: 'b2xk', b: 'Yg==' }, stringData: { a: 'new é' } }))
  assert.deepEqual(stored, { ...secret({}), type: 'Opaque', data: { a: 'bmV3IMOp', b: 'Yg==' } })
  assert.equal(secretWithDefaults(secret({ type: 'x/y' })).type, 'x/y')
  const odd = secret({ stringData: { a: 1 } })
  assert.equal(secretWithDefaults(odd), odd)
  assert.throws(
    () => secretWithDefaults(secret({ data: { a: 'no!' } })),
    /^Fault: Secret in version "v1" cannot be handled as a Secret: illegal base64 data/,
  )
  assert.throws(() => configMapWithDefaults(map({ binaryData: { a: 'abc' } })), /illegal base64 data/)
})

test('keys of Secrets and ConfigMaps are file names', () => {
  assert.deepEqual(secretErrors(secret({ data: { 'a.b-C_9': '' } }), undefined), [])
  for (const [key, why] of [
    ['a/b', /a valid config key must consist of/],
    ['..', /must not be '..'/],
    ['.', /must not be '.'/],
    ['..x', /must not start with '..'/],
    ['x'.repeat(254), /no more than 253/],
  ] as const) {
    assert.match(secretErrors(secret({ data: { [key]: '' } }), undefined)[0]?.message ?? '', why)
    assert.match(configMapErrors(map({ data: { [key]: '' } }), undefined)[0]?.message ?? '', why)
  }
  assert.match(lines(configMapErrors(map({ data: { a: '' }, binaryData: { a: '' } }), undefined))[0] ?? '', /duplicate/)
  assert.deepEqual(lines(secretErrors(secret({ type: 'kubernetes.io/tls', data: { 'tls.crt': '' } }), undefined)), [
    'data[tls.key]: Required value',
  ])
  const large = map({ data: { a: 'x'.repeat(1024 * 1024), b: 'x' } })
  assert.match(lines(configMapErrors(large, undefined))[0] ?? '', /Too long/)
})

test('what is immutable stays as it is', () => {
  const old = secret({ immutable: true, type: 'Opaque', data: { a: 'YQ==' } })
  assert.deepEqual(secretErrors(old, old), [])
  const now = secret({ type: 'Opaque', data: { a: 'Yg==' } })
  assert.deepEqual(lines(secretErrors(now, old)), [
    'immutable: Forbidden: field is immutable when `immutable` is set',
    'data: Forbidden: field is immutable when `immutable` is set',
  ])
  assert.deepEqual(lines(secretErrors(secret({ type: 'x' }), secret({ type: 'Opaque' }))), [
    'type: Invalid value: "x": field is immutable',
  ])
})

const role = (rules: Role['rules'], namespace?: string): Role => ({
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'Role',
  metadata: { name: 'r', ...(namespace && { namespace }) },
  ...(rules && { rules }),
})

test('a rule says which verbs, and on what', () => {
  assert.deepEqual(roleErrors(role(undefined)), [])
  assert.deepEqual(lines(roleErrors(role([{ verbs: [] }]))), [
    'rules[0].verbs: Required value: verbs must contain at least one value',
    'rules[0].apiGroups: Required value: resource rules must supply at least one api group',
    'rules[0].resources: Required value: resource rules must supply at least one resource',
  ])
  const urls = { verbs: ['get'], nonResourceURLs: ['/healthz'] }
  assert.deepEqual(roleErrors(role([urls])), [])
  assert.match(lines(roleErrors(role([urls], 'ns')))[0] ?? '', /namespaced rules cannot apply to non-resource URLs/)
  assert.match(lines(roleErrors(role([{ ...urls, resources: ['pods'] }])))[0] ?? '', /both regular resources and/)
})

const binding = (over: Partial<RoleBinding>, namespace = 'ns'): RoleBinding => ({
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'RoleBinding',
  metadata: { name: 'b', ...(namespace && { namespace }) },
  roleRef: { kind: 'ClusterRole', name: 'view' },
  ...over,
})

test('a binding names its role once and for all, and whom it is for', () => {
  const apiGroup = 'rbac.authorization.k8s.io'
  const made = bindingWithDefaults(binding({ subjects: [{ kind: 'User', name: 'jane' }] }))
  assert.deepEqual(made.roleRef, { kind: 'ClusterRole', name: 'view', apiGroup })
  assert.deepEqual(made.subjects, [{ kind: 'User', name: 'jane', apiGroup }])
  assert.deepEqual(bindingErrors(made, undefined), [])
  const changed = { ...made, roleRef: { kind: 'ClusterRole', name: 'admin', apiGroup } }
  assert.deepEqual(lines(bindingErrors(changed, made)), [
    `roleRef: Invalid value: rbac.RoleRef{APIGroup:"${apiGroup}", Kind:"ClusterRole", Name:"admin"}: cannot change roleRef`,
  ])
  const bad = {
    ...made,
    subjects: [
      { kind: 'ServiceAccount', name: 'x' },
      { kind: 'Robot', name: '' },
    ],
  }
  assert.deepEqual(lines(bindingErrors(bad, undefined)), [
    'subjects[0].namespace: Required value',
    'subjects[1].name: Required value',
    'subjects[1].kind: Unsupported value: "Robot": supported values: "ServiceAccount", "User", "Group"',
  ])
  const everywhere = { ...binding({}, ''), roleRef: { kind: 'Role', name: 'x', apiGroup } }
  assert.match(lines(bindingErrors(everywhere, undefined))[0] ?? '', /^roleRef.kind: Unsupported value: "Role"/)
})
