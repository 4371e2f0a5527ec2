import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Kind } from '#apis/meta/object.ts'
import { faultIn, Widget } from '#kit/machinery/rest/rest-kit.ts'
import { parseResourcePath } from '../path.ts'
import { queryOf } from '../request.ts'
import type { User } from '../strategy.ts'
import { attributesOf } from './attributes.ts'
import { Authorizer, type BindingLike, type RoleLike } from './authorizer.ts'
import { requireBindingNotAbove, requireRoleNotAbove } from './escalation.ts'
import { isAllowedBy, missingRules, type Rule } from './rules.ts'

const rule = (verbs: string, resources: string, more: Partial<Rule> = {}): Rule => ({
  verbs: verbs.split(' '),
  apiGroups: [''],
  resources: resources.split(' '),
  ...more,
})
const want = (verb: string, resource: string, more: object = {}) => ({ verb, group: '', resource, ...more })

test('a rule allows what it names, and with a star everything', () => {
  const cases: readonly [Rule, Parameters<typeof isAllowedBy>[1], boolean][] = [
    [rule('get list', 'pods'), want('get', 'pods'), true],
    [rule('get list', 'pods'), want('watch', 'pods'), false],
    [rule('get', 'pods'), want('get', 'pods', { subresource: 'status' }), false],
    [rule('get', 'pods/status'), want('get', 'pods', { subresource: 'status' }), true],
    [rule('get', 'pods/status'), want('get', 'pods'), false],
    [rule('get', '*/status'), want('get', 'pods', { subresource: 'status' }), true],
    [rule('get', '*/status'), want('get', 'pods'), false],
    [rule('get', '*'), want('get', 'pods', { subresource: 'status' }), true],
    [rule('*', 'pods'), want('anything', 'pods'), true],
    [rule('get', 'pods'), want('get', 'pods', { group: 'apps' }), false],
    [rule('get', 'pods', { apiGroups: ['*'] }), want('get', 'pods', { group: 'apps' }), true],
    [rule('get', 'pods', { resourceNames: ['a'] }), want('get', 'pods', { name: 'a' }), true],
    [rule('get', 'pods', { resourceNames: ['a'] }), want('get', 'pods', { name: 'b' }), false],
    [rule('list', 'pods', { resourceNames: ['a'] }), want('list', 'pods'), false],
    [{ verbs: ['get'], nonResourceURLs: ['/api/*'] }, { verb: 'get', path: '/api/v1' }, true],
    [{ verbs: ['get'], nonResourceURLs: ['/api/*'] }, { verb: 'get', path: '/api' }, false],
    [{ verbs: ['get'], nonResourceURLs: ['*'] }, { verb: 'post', path: '/api' }, false],
    [{ verbs: ['get'], nonResourceURLs: ['*'] }, want('get', 'pods'), false],
    [rule('*', '*', { apiGroups: ['*'] }), { verb: 'get', path: '/api' }, false],
  ]
  for (const [given, wanted, allowed] of cases)
    assert.equal(isAllowedBy(given, wanted), allowed, JSON.stringify([given, wanted]))
})

test('what is missing is told in the smallest pieces', () => {
  assert.deepEqual(missingRules([rule('*', 'pods')], [rule('get create', 'pods')]), [])
  assert.deepEqual(missingRules([rule('get', 'pods')], [rule('get create', 'pods secrets')]), [
    rule('get', 'secrets'),
    rule('create', 'pods'),
    rule('create', 'secrets'),
  ])
  const named = rule('get', 'pods', { resourceNames: ['a'] })
  assert.deepEqual(missingRules([named], [named]), [])
  assert.deepEqual(missingRules([named], [rule('get', 'pods')]), [rule('get', 'pods')])
  assert.deepEqual(missingRules([rule('get', 'pods')], [rule('*', 'pods')]), [rule('*', 'pods')])
  const urls = (verbs: string, ...nonResourceURLs: string[]): Rule => ({ verbs: [verbs], nonResourceURLs })
  assert.deepEqual(missingRules([urls('get', '/a/*')], [urls('get', '/a/b', '/c')]), [urls('get', '/c')])
})

type World = { roles?: Record<string, RoleLike>; bindings?: Record<string, BindingLike[]> }

test('ten missing rules are found, however many there are, and no product is written out to find them', async () => {
  const many = (letter: string, count = 100) => Array.from({ length: count }, (_, i) => `${letter}${i}`)
  const huge = { verbs: many('v'), apiGroups: many('g'), resources: many('r'), resourceNames: many('n') }
  assert.equal(missingRules([], [huge]).length, 10)
  const everything = { verbs: ['*'], apiGroups: ['*'], resources: ['*'] }
  assert.deepEqual(missingRules([everything], [{ ...huge, verbs: many('v', 10) }]), [])
  const owned = Array.from({ length: 1000 }, () => ({ ...huge, resourceNames: ['other'] }))
  const fault = await faultIn(() => missingRules(owned, [{ ...huge, resourceNames: ['other'] }]))
  assert.equal(fault.kind, 'TooLarge')
})

/** Roles by `NAMESPACE/NAME`, bindings by namespace; those of the cluster are under ''. */
function authorizer({ roles = {}, bindings = {} }: World): Authorizer {
  return new Authorizer({
    role: (namespace, name) => roles[`${namespace ?? ''}/${name}`],
    bindings: (namespace) => bindings[namespace ?? ''] ?? [],
  })
}
const user = (name: string, ...groups: string[]): User => ({ name, groups: [...groups, 'system:authenticated'] })
const bind = (kind: string, role: string, ...subjects: { kind: string; name: string; namespace?: string }[]) => ({
  roleRef: { kind, name: role },
  subjects,
})

test('bindings give what their roles allow, where they are', () => {
  const access = authorizer({
    roles: { '/view': { rules: [rule('get', 'pods')] }, 'a/own': { rules: [rule('list', 'pods')] } },
    bindings: {
      '': [bind('ClusterRole', 'view', { kind: 'Group', name: 'readers' })],
      a: [
        bind('ClusterRole', 'view', { kind: 'User', name: 'jane' }),
        bind('Role', 'own', { kind: 'ServiceAccount', name: 'bot', namespace: 'b' }),
        bind('Role', 'gone', { kind: 'User', name: 'bob' }),
      ],
    },
  })
  const allowed = (who: User, verb: string, namespace?: string) =>
    access.decide(who, want(verb, 'pods', namespace ? { namespace } : {})).allowed
  assert.equal(allowed(user('jane'), 'get', 'a'), true)
  assert.equal(allowed(user('jane'), 'get', 'b'), false)
  assert.equal(allowed(user('jane'), 'get'), false)
  assert.equal(allowed(user('jane'), 'list', 'a'), false)
  assert.equal(allowed(user('x', 'readers'), 'get', 'b'), true)
  assert.equal(allowed(user('x', 'readers'), 'get'), true)
  assert.equal(allowed(user('system:serviceaccount:b:bot'), 'list', 'a'), true)
  assert.equal(allowed(user('system:serviceaccount:a:bot'), 'list', 'a'), false)
  assert.equal(allowed(user('root', 'system:masters'), 'anything'), true)
  const { reason } = access.decide(user('bob'), want('get', 'pods', { namespace: 'a' }))
  assert.equal(reason, 'RBAC: role.rbac.authorization.k8s.io "gone" not found')
  assert.deepEqual(access.rulesFor(user('jane'), 'a'), [rule('get', 'pods')])
})

test('refusals are worded as in Kubernetes', async () => {
  const access = authorizer({})
  const text = async (wanted: Parameters<typeof isAllowedBy>[1]) =>
    (await faultIn(() => access.require(user('jane'), wanted))).message
  assert.equal(
    await text({ verb: 'list', group: 'kubevirt.io', resource: 'virtualmachines', namespace: 'default' }),
    'virtualmachines.kubevirt.io is forbidden: User "jane" cannot list resource "virtualmachines" in API group "kubevirt.io" in the namespace "default"',
  )
  assert.equal(
    await text({ verb: 'update', group: '', resource: 'nodes', subresource: 'status', name: 'n' }),
    'nodes "n" is forbidden: User "jane" cannot update resource "nodes/status" in API group "" at the cluster scope',
  )
  assert.equal(await text({ verb: 'get', path: '/api' }), 'forbidden: User "jane" cannot get path "/api"')
})

test('a request is told in the words of rules', () => {
  const of = (method: string, url: string) => {
    const [path = '', search = ''] = url.split('?')
    return attributesOf(method, path, parseResourcePath(path), queryOf(search))
  }
  const pods = { group: '', resource: 'pods', namespace: 'a' }
  const at = '/api/v1/namespaces/a/pods'
  assert.deepEqual(of('GET', at), { ...pods, verb: 'list' })
  assert.deepEqual(of('GET', `${at}?watch=true`), { ...pods, verb: 'watch' })
  assert.deepEqual(of('GET', `${at}?watch=1&fieldSelector=metadata.name=x`), {
    ...pods,
    verb: 'watch',
    name: 'x',
    fieldSelector: 'metadata.name=x',
  })
  assert.deepEqual(of('POST', at), { ...pods, verb: 'create' })
  // A selector names nothing but what is selected: rules for one name do not allow to create another.
  const selector = { fieldSelector: 'metadata.name=x' }
  assert.deepEqual(of('POST', `${at}?fieldSelector=metadata.name=x`), { ...pods, ...selector, verb: 'create' })
  assert.deepEqual(of('DELETE', `${at}?fieldSelector=metadata.name=x`), {
    ...pods,
    ...selector,
    verb: 'deletecollection',
    name: 'x',
  })
  assert.deepEqual(of('DELETE', at), { ...pods, verb: 'deletecollection' })
  assert.deepEqual(of('DELETE', `${at}/x`), { ...pods, verb: 'delete', name: 'x' })
  assert.deepEqual(of('PUT', `${at}/x/status`), { ...pods, verb: 'update', name: 'x', subresource: 'status' })
  assert.deepEqual(of('PATCH', `${at}/x`), { ...pods, verb: 'patch', name: 'x' })
  assert.deepEqual(of('GET', '/api/v1/namespaces/a'), {
    verb: 'get',
    group: '',
    resource: 'namespaces',
    namespace: 'a',
    name: 'a',
  })
  assert.deepEqual(of('GET', '/apis/kubevirt.io/v1'), { verb: 'get', path: '/apis/kubevirt.io/v1' })
})

test('nobody grants what they do not have', async () => {
  const roles = {
    '/admin': { rules: [rule('get', 'pods'), rule('*', 'roles rolebindings', { apiGroups: ['example.com'] })] },
    '/root': { rules: [rule('*', '*', { apiGroups: ['*'] })] },
    '/binder': { rules: [rule('bind', 'clusterroles', { apiGroups: ['example.com'], resourceNames: ['root'] })] },
  }
  const access = authorizer({
    roles,
    bindings: {
      a: [
        bind('ClusterRole', 'admin', { kind: 'User', name: 'jane' }),
        bind('ClusterRole', 'binder', { kind: 'User', name: 'bob' }),
      ],
    },
  })
  const kind = { ...Widget, plural: 'rolebindings' } as Kind
  const metadata = { name: 'mine', namespace: 'a' }
  const write = (who: User, rules: Rule[], more = {}) =>
    requireRoleNotAbove(access, { ...kind, plural: 'roles2' }, who, { metadata, rules, ...more }, undefined)
  const give = (who: User, role: string) =>
    requireBindingNotAbove(access, kind, who, { metadata, ...bind('ClusterRole', role) })
  write(user('jane'), [rule('get', 'pods')])
  give(user('jane'), 'admin')
  give(user('bob'), 'root')
  give(user('root', 'system:masters'), 'nosuch')
  const refused = await faultIn(() => write(user('jane'), [rule('get create delete', 'pods')]))
  assert.equal(refused.kind, 'Forbidden')
  assert.equal(
    refused.message,
    'roles2.example.com "mine" is forbidden: user "jane" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[""], Resources:["pods"], Verbs:["create" "delete"]}',
  )
  assert.match((await faultIn(() => give(user('jane'), 'root'))).message, /not currently held:\n\{APIGroups:\["\*"\]/)
  assert.equal((await faultIn(() => give(user('jane'), 'nosuch'))).kind, 'NotFound')
  const aggregating = await faultIn(() => write(user('jane'), [], { aggregationRule: {} }))
  assert.match(aggregating.message, /must have cluster-admin privileges to use the aggregationRule/)
})
