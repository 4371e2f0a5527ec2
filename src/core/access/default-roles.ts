import { instancetypeGroup } from '#apis/instancetype/instancetype.ts'
import { apiVersionOf } from '#apis/meta/object.ts'
import { ClusterRoleBinding, type Subject } from '#apis/rbac/binding.ts'
import { ClusterRole, type Rule, rbacGroup } from '#apis/rbac/role.ts'
import { mirrorVerb } from '../nic/mirror.ts'
import { change, full, read, rule } from './rule.ts'
import { controllers, nodeComponent } from './system-roles.ts'

/** Roles and bindings with this annotation, unless it says "false", are repaired at each start. */
export const autoupdateAnnotation = 'rbac.authorization.kubernetes.io/autoupdate'

const onUrls = (...nonResourceURLs: string[]): Rule => ({ nonResourceURLs, verbs: ['get'] })

function clusterRole(name: string, rules: readonly Rule[], labels: Readonly<Record<string, string>> = {}): ClusterRole {
  return {
    apiVersion: apiVersionOf(ClusterRole),
    kind: ClusterRole.kind,
    metadata: {
      name,
      labels: { 'kubernetes.io/bootstrapping': 'rbac-defaults', ...labels },
      annotations: { [autoupdateAnnotation]: 'true' },
    },
    rules,
  }
}

/** A role whose rules are those of all roles with the label `rbac.authorization.k8s.io/aggregate-to-NAME`. */
function aggregate(name: string, labels: Readonly<Record<string, string>> = {}): ClusterRole {
  const clusterRoleSelectors = [{ matchLabels: to(name) }]
  return { ...clusterRole(name, [], labels), aggregationRule: { clusterRoleSelectors } }
}

const to = (...roles: string[]) =>
  Object.fromEntries(roles.map((role) => [`rbac.authorization.k8s.io/aggregate-to-${role}`, 'true']))

const vmKinds = ['virtualmachines', 'virtualmachineinstances']
const consoles = ['console', 'vnc', 'guestosinfo', 'filesystemlist', 'userlist', 'usbredir'].map(
  (name) => `virtualmachineinstances/${name}`,
)
/** Not of KubeVirt: who may look at an instance may see how much goes over its cables. */
const traffic = 'virtualmachineinstances/traffic'
const forwards = vmKinds.map((plural) => `${plural}/portforward`)
const deviceActions = ['addinterface', 'removeinterface', 'addvolume', 'removevolume']
const actions = [
  ...['pause', 'unpause', 'freeze', 'unfreeze', 'softreboot', 'reset', ...deviceActions].map(
    (name) => `virtualmachineinstances/${name}`,
  ),
  ...['start', 'stop', 'restart', ...deviceActions].map((name) => `virtualmachines/${name}`),
]
const types = ['virtualmachineinstancetypes', 'virtualmachinepreferences']
const clusterTypes = ['virtualmachineclusterinstancetypes', 'virtualmachineclusterpreferences']
const expandSpec = rule('subresources.kubevirt.io', ['virtualmachines/expand-spec'], ['get'])
const migrations = ['virtualmachineinstancemigrations']
// The right to write a network attachment is the right to run a CNI plugin as root with any settings: cluster-admin alone has it.
const viewNetworks = rule('k8s.cni.cncf.io', ['network-attachment-definitions'], read)
const useVms: readonly Rule[] = [
  rule('subresources.kubevirt.io', [...consoles, traffic, ...forwards], ['get']),
  rule('subresources.kubevirt.io', actions, ['update']),
  rule('kubevirt.io', vmKinds, full),
  rule(instancetypeGroup, types, full),
  rule(instancetypeGroup, clusterTypes, read),
  expandSpec,
  rule('kubevirt.io', migrations, read),
  // A VM may use the networks that its owner may get.
  viewNetworks,
]
const viewVms: readonly Rule[] = [
  rule('subresources.kubevirt.io', [...consoles.slice(2, 5), traffic], ['get']),
  rule('kubevirt.io', [...vmKinds, ...migrations], read),
  rule(instancetypeGroup, [...types, ...clusterTypes], read),
  expandSpec,
]
/** KubeVirt keeps it from editors, though they may look at the same screen. */
const seeScreens = rule('subresources.kubevirt.io', ['virtualmachineinstances/vnc/screenshot'], ['get'])
const useDataVolumes = [
  rule('cdi.kubevirt.io', ['datavolumes', 'datasources'], full),
  rule('upload.cdi.kubevirt.io', ['uploadtokenrequests'], ['create']),
]
const viewDataVolumes = [rule('cdi.kubevirt.io', ['datavolumes', 'datasources'], read)]
const cdiLabel = { 'cdi.kubevirt.io': '' }
const kubevirtLabel = { 'kubevirt.io': '' }

/** The ClusterRoles every installation has: Kubernetes' and KubeVirt's own names. */
export const defaultClusterRoles: readonly ClusterRole[] = [
  clusterRole('cluster-admin', [
    { apiGroups: ['*'], resources: ['*'], verbs: ['*'] },
    { nonResourceURLs: ['*'], verbs: ['*'] },
  ]),
  aggregate('admin'),
  aggregate('edit', to('admin')),
  aggregate('view', to('edit')),
  clusterRole(
    'system:aggregate-to-admin',
    [
      rule(rbacGroup, ['roles', 'rolebindings'], full),
      rule('authorization.k8s.io', ['localsubjectaccessreviews'], ['create']),
    ],
    to('admin'),
  ),
  clusterRole(
    'system:aggregate-to-edit',
    [
      rule('', ['pods'], ['delete', 'deletecollection']),
      rule('', ['pods/eviction'], ['create']),
      rule('', ['secrets'], full),
      rule('', ['configmaps', 'events', 'persistentvolumeclaims', 'serviceaccounts'], change),
      rule('events.k8s.io', ['events'], change),
      rule('', ['serviceaccounts'], ['impersonate']),
      rule('', ['serviceaccounts/token'], ['create']),
      rule('coordination.k8s.io', ['leases'], full),
    ],
    to('edit'),
  ),
  clusterRole(
    'system:aggregate-to-view',
    [
      rule(
        '',
        [
          'configmaps',
          'events',
          'namespaces',
          'namespaces/status',
          'persistentvolumeclaims',
          'persistentvolumeclaims/status',
          'pods',
          'pods/log',
          'pods/status',
          'serviceaccounts',
        ],
        read,
      ),
      rule('', ['endpoints', 'services'], read),
      rule('policy', ['poddisruptionbudgets'], read),
      // A user who could write quotas would not be limited by them: cluster-admin alone may (Kubernetes).
      rule('', ['resourcequotas', 'resourcequotas/status'], read),
      rule('events.k8s.io', ['events'], read),
      viewNetworks,
    ],
    to('view'),
  ),
  clusterRole('kubevirt.io:admin', [...useVms, seeScreens], { ...kubevirtLabel, ...to('admin') }),
  clusterRole('kubevirt.io:edit', useVms, { ...kubevirtLabel, ...to('edit') }),
  clusterRole('kubevirt.io:view', viewVms, { ...kubevirtLabel, ...to('view') }),
  clusterRole('cdi.kubevirt.io:admin', useDataVolumes, { ...cdiLabel, ...to('admin') }),
  clusterRole('cdi.kubevirt.io:edit', useDataVolumes, { ...cdiLabel, ...to('edit') }),
  clusterRole('cdi.kubevirt.io:view', viewDataVolumes, { ...cdiLabel, ...to('view') }),
  // Since KubeVirt 1.5 the administrator of a namespace has no right to migrate its VMs.
  clusterRole(
    'kubevirt.io:migrate',
    [rule('subresources.kubevirt.io', ['virtualmachines/migrate'], ['update']), rule('kubevirt.io', migrations, full)],
    kubevirtLabel,
  ),
  // It listens to what others say: bound to no user until an administrator does so.
  clusterRole('patchbay.dev:mirror', [rule('k8s.cni.cncf.io', ['network-attachment-definitions'], [mirrorVerb])]),
  clusterRole(
    'kubevirt.io:default',
    [
      rule('kubevirt.io', ['kubevirts'], ['get', 'list']),
      rule('subresources.kubevirt.io', ['version'], ['get', 'list']),
    ],
    kubevirtLabel,
  ),
  clusterRole('instancetype.kubevirt.io:view', [rule(instancetypeGroup, clusterTypes, read)], kubevirtLabel),
  clusterRole('system:basic-user', [
    rule('authorization.k8s.io', ['selfsubjectaccessreviews', 'selfsubjectrulesreviews'], ['create']),
    rule('authentication.k8s.io', ['selfsubjectreviews'], ['create']),
  ]),
  clusterRole('system:auth-delegator', [
    rule('authentication.k8s.io', ['tokenreviews'], ['create']),
    rule('authorization.k8s.io', ['subjectaccessreviews'], ['create']),
  ]),
  clusterRole('system:discovery', [
    onUrls(
      '/api',
      '/api/*',
      '/apis',
      '/apis/*',
      '/healthz',
      '/livez',
      '/openapi',
      '/openapi/*',
      '/readyz',
      '/version',
      '/version/',
    ),
  ]),
  clusterRole('system:monitoring', [onUrls('/healthz', '/livez', '/metrics', '/readyz')]),
  clusterRole('system:public-info-viewer', [onUrls('/healthz', '/livez', '/readyz', '/version', '/version/')]),
  ...[...Object.values(controllers), nodeComponent].map(({ name, rules }) => clusterRole(name, rules)),
]

const groups: readonly (readonly [role: string, ...groups: string[]])[] = [
  ['cluster-admin', 'system:masters'],
  ['system:discovery', 'system:authenticated'],
  ['system:basic-user', 'system:authenticated'],
  ['kubevirt.io:default', 'system:authenticated'],
  ['instancetype.kubevirt.io:view', 'system:authenticated'],
  ['system:public-info-viewer', 'system:authenticated', 'system:unauthenticated'],
  ['system:monitoring', 'system:monitoring'],
  [nodeComponent.name, nodeComponent.group],
]

/** The ClusterRoleBindings of every installation. */
export const defaultClusterRoleBindings: readonly ClusterRoleBinding[] = [
  ...groups.map(([role, ...names]) =>
    binding(
      role,
      names.map((name) => ({ kind: 'Group', apiGroup: rbacGroup, name })),
    ),
  ),
  ...Object.values(controllers).map(({ name }) => binding(name, [{ kind: 'User', apiGroup: rbacGroup, name }])),
]

function binding(role: string, subjects: readonly Subject[]): ClusterRoleBinding {
  return {
    apiVersion: apiVersionOf(ClusterRoleBinding),
    kind: ClusterRoleBinding.kind,
    metadata: {
      name: role,
      labels: { 'kubernetes.io/bootstrapping': 'rbac-defaults' },
      annotations: { [autoupdateAnnotation]: 'true' },
    },
    roleRef: { apiGroup: rbacGroup, kind: 'ClusterRole', name: role },
    subjects,
  }
}
