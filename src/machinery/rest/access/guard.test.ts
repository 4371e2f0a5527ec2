import assert from 'node:assert/strict'
import { test } from 'node:test'
import { faultIn } from '#kit/machinery/rest/rest-kit.ts'
import type { User } from '../strategy.ts'
import { auditLine } from './audit.ts'
import { impersonated } from './authenticate.ts'
import { Authorizer } from './authorizer.ts'

const rule = (resource: string, names: string[] = []) => ({
  verbs: ['impersonate'],
  apiGroups: [''],
  resources: [resource],
  resourceNames: names,
})
const authentication = { verbs: ['impersonate'], apiGroups: ['authentication.k8s.io'] }
const rules = [
  rule('users', ['jane']),
  rule('groups', ['cats']),
  rule('serviceaccounts'),
  { ...authentication, resources: ['uids'], resourceNames: ['u-1'] },
  { ...authentication, resources: ['userextras/scopes'], resourceNames: ['view', 'edit'] },
  { ...authentication, resources: ['userextras/acme.com/project'], resourceNames: [] },
]
const access = new Authorizer({
  role: () => ({ rules }),
  bindings: () => [{ roleRef: { kind: 'ClusterRole', name: 'x' }, subjects: [{ kind: 'User', name: 'boss' }] }],
})
const boss: User = { name: 'boss', groups: [] }
const everyone = 'system:authenticated'

test('somebody counts as another only when a role allows it', async () => {
  const as = (headers: Record<string, string>, sender = boss) => impersonated(sender, headers, access)
  assert.equal(as({}), boss)
  assert.deepEqual(as({ 'impersonate-user': 'jane' }), { name: 'jane', groups: [everyone] })
  assert.deepEqual(as({ 'impersonate-user': 'jane', 'impersonate-group': 'cats' }).groups, ['cats', everyone])
  const account = 'system:serviceaccount:a:bot'
  assert.deepEqual(as({ 'impersonate-user': account }), {
    name: account,
    groups: ['system:serviceaccounts', 'system:serviceaccounts:a', everyone],
  })
  const refused = async (headers: Record<string, string>, sender?: User) =>
    (await faultIn(() => as(headers, sender))).message
  assert.match(
    await refused({ 'impersonate-user': 'root' }),
    /^users "root" is forbidden: User "boss" cannot impersonate/,
  )
  assert.match(await refused({ 'impersonate-user': 'jane' }, { name: 'x', groups: [] }), /User "x" cannot impersonate/)
  const masters = { 'impersonate-user': 'jane', 'impersonate-group': 'cats, system:masters' }
  assert.match(await refused(masters), /^groups "system:masters" is forbidden/)
  assert.match(await refused({ 'impersonate-group': 'cats' }), /without impersonating a user/)
  const jane = { 'impersonate-user': 'jane' }
  for (const headers of [{ 'impersonate-uid': '1' }, { 'impersonate-extra-scopes': 'view' }])
    assert.match(await refused(headers), /without impersonating a user/)
  const whole = as({
    ...jane,
    'impersonate-uid': 'u-1',
    'impersonate-extra-scopes': 'view, edit',
    'impersonate-extra-acme.com%2fproject': 'p',
  })
  assert.deepEqual(whole, {
    name: 'jane',
    groups: [everyone],
    uid: 'u-1',
    extra: { scopes: ['view', 'edit'], 'acme.com/project': ['p'] },
  })
  const rows: readonly [headers: Record<string, string>, message: RegExp][] = [
    [{ 'impersonate-uid': 'u-2' }, /^uids.authentication.k8s.io "u-2" is forbidden: User "boss" cannot impersonate/],
    [
      { 'impersonate-extra-scopes': 'view, all' },
      /^userextras.authentication.k8s.io "all" is forbidden: .*"userextras\/scopes"/,
    ],
    [
      { 'impersonate-extra-other': 'view' },
      /^userextras.authentication.k8s.io "view" is forbidden: .*"userextras\/other"/,
    ],
    [{ 'impersonate-extra-%zz': 'view' }, /is not percent-encoded/],
    [{ 'impersonate-extra-scopes': 'view,'.repeat(300) }, /no more than 256 groups and values/],
  ]
  for (const [headers, message] of rows) assert.match(await refused({ ...jane, ...headers }), message)
})

test('an audit line says who did what, and how it ended', () => {
  const seen = {
    method: 'POST',
    path: '/api/v1/namespaces/a/secrets',
    code: 201,
    sourceIp: '::1',
    userAgent: 'kubectl',
  }
  const wanted = { verb: 'create', group: '', resource: 'secrets', namespace: 'a' }
  const line = auditLine({ id: 'i', sender: boss, wanted, name: 'made-x2', dryRun: true }, seen, 0)
  assert.deepEqual(JSON.parse(line ?? ''), {
    time: '1970-01-01T00:00:00.000Z',
    id: 'i',
    user: 'boss',
    groups: [],
    verb: 'create',
    group: '',
    resource: 'secrets',
    namespace: 'a',
    name: 'made-x2',
    code: 201,
    sourceIp: '::1',
    userAgent: 'kubectl',
    dryRun: true,
  })
  const other = JSON.parse(
    auditLine({ id: 'i', sender: boss, as: { name: 'jane', groups: ['cats'] }, wanted }, seen, 0) ?? '',
  )
  assert.deepEqual([other.user, other.as, other.asGroups], ['boss', 'jane', ['cats']])
  const unknown = JSON.parse(
    auditLine({ id: 'i', wanted: { verb: 'post', path: '/x' } }, { ...seen, code: 401 }, 0) ?? '',
  )
  assert.deepEqual([unknown.user, unknown.path, unknown.code], ['system:anonymous', '/x', 401])
  assert.equal(auditLine({ id: 'i', sender: boss, wanted }, { ...seen, method: 'GET' }, 0), undefined)
  assert.equal(auditLine({ id: 'i', sender: boss, wanted, isReview: true }, seen, 0), undefined)
})
