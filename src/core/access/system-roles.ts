import type { Rule } from '#apis/rbac/role.ts'
import { nodesGroup } from './node.ts'
import { full, read, rule } from './rule.ts'

/** A component of this system: its name, and the minimal rules that it needs. */
export type Component = Readonly<{ name: string; rules: readonly Rule[] }>

const events = rule('', ['events'], ['create', 'update', 'patch'])

/**
 * The controllers, each a user of its own with a role of the same name, so that each has only the rights that it needs itself
 * (Kubernetes does the same with ServiceAccounts in kube-system).
 */
export const controllers = {
  virtualMachine: {
    name: 'system:controller:virtual-machine-controller',
    rules: [
      rule('kubevirt.io', ['virtualmachines', 'virtualmachines/status'], [...read, 'update', 'patch']),
      rule('kubevirt.io', ['virtualmachineinstances', 'virtualmachineinstances/status'], full),
      rule('kubevirt.io', ['kubevirts'], read),
      rule('cdi.kubevirt.io', ['datavolumes'], [...read, 'create']),
      rule('', ['persistentvolumeclaims'], read),
      rule('', ['pods'], full),
      rule('', ['nodes'], read),
      events,
    ],
  },
  volume: {
    name: 'system:controller:persistent-volume-binder',
    rules: [
      rule('', ['persistentvolumeclaims', 'persistentvolumeclaims/status'], [...read, 'update', 'patch']),
      rule('cdi.kubevirt.io', ['datavolumes'], read),
      rule('kubevirt.io', ['virtualmachineinstances'], read),
      rule('', ['nodes'], read),
      events,
    ],
  },
  dataVolume: {
    name: 'system:controller:datavolume-controller',
    rules: [
      rule('cdi.kubevirt.io', ['datavolumes', 'datavolumes/status'], [...read, 'update', 'patch']),
      rule('', ['persistentvolumeclaims'], [...read, 'create']),
      events,
    ],
  },
  dataSource: {
    name: 'system:controller:datasource-controller',
    rules: [rule('cdi.kubevirt.io', ['datasources', 'datasources/status'], [...read, 'update', 'patch'])],
  },
  migration: {
    name: 'system:controller:virtual-machine-instance-migration-controller',
    rules: [
      rule('kubevirt.io', ['virtualmachineinstancemigrations', 'virtualmachineinstancemigrations/status'], full),
      rule('kubevirt.io', ['virtualmachineinstances', 'virtualmachineinstances/status'], [...read, 'update', 'patch']),
      rule('kubevirt.io', ['kubevirts'], read),
      rule('', ['pods'], [...read, 'create', 'delete']),
      rule('', ['nodes'], read),
      events,
    ],
  },
  namespace: {
    name: 'system:controller:namespace-controller',
    rules: [
      rule('', ['namespaces', 'namespaces/status'], [...read, 'update', 'delete']),
      // It deletes the objects of every kind from a namespace.
      rule('*', ['*'], ['get', 'list', 'delete', 'deletecollection']),
    ],
  },
  clusterRole: {
    name: 'system:controller:clusterrole-aggregation-controller',
    rules: [rule('rbac.authorization.k8s.io', ['clusterroles'], [...read, 'update', 'patch', 'escalate'])],
  },
  serviceAccount: {
    name: 'system:controller:service-account-controller',
    rules: [rule('', ['namespaces'], read), rule('', ['serviceaccounts'], [...read, 'create'])],
  },
  tokenSecret: {
    name: 'system:controller:tokens-controller',
    rules: [rule('', ['serviceaccounts'], read), rule('', ['secrets'], [...read, 'update', 'delete'])],
  },
  resourceQuota: {
    name: 'system:controller:resourcequota-controller',
    rules: [rule('', ['resourcequotas'], read), rule('', ['resourcequotas/status'], ['update'])],
  },
  node: {
    name: 'system:controller:node-controller',
    rules: [
      rule('', ['nodes'], read),
      rule('', ['nodes/status'], ['update', 'patch']),
      rule('coordination.k8s.io', ['leases'], read),
      rule('kubevirt.io', ['virtualmachineinstances/status'], ['update', 'patch']),
      events,
    ],
  },
  garbage: {
    name: 'system:controller:generic-garbage-collector',
    rules: [rule('*', ['*'], [...read, 'delete', 'patch', 'update'])],
  },
} as const satisfies Record<string, Component>

/** The rules of a node's agent. core/access/node.ts restricts them to the pods, instances and leases of its node,
 * to the Secrets and ConfigMaps that those instances name, and to the claims whose disks it has. */
export const nodeComponent: Component & Readonly<{ group: string }> = {
  name: 'system:node',
  group: nodesGroup,
  rules: [
    rule('', ['nodes', 'nodes/status'], ['get', 'create', 'update', 'patch']),
    rule('', ['pods'], [...read, 'update', 'patch', 'delete']),
    rule('', ['pods/status'], ['update', 'patch']),
    rule('kubevirt.io', ['virtualmachineinstances'], read),
    rule('kubevirt.io', ['virtualmachineinstances/status'], ['update', 'patch']),
    rule('kubevirt.io', ['kubevirts'], read),
    rule('k8s.cni.cncf.io', ['network-attachment-definitions'], read),
    rule('', ['secrets', 'configmaps'], ['get']),
    rule('', ['persistentvolumeclaims'], [...read, 'update', 'patch']),
    rule('cdi.kubevirt.io', ['datavolumes'], ['get']),
    rule('cdi.kubevirt.io', ['datavolumes/status'], ['update', 'patch']),
    rule('coordination.k8s.io', ['leases'], ['get', 'create', 'update', 'patch', 'delete']),
    events,
  ],
}
