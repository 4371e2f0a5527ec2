import { Lease } from '#apis/coordination/lease.ts'
import { ConfigMap } from '#apis/core/configmap.ts'
import { Event, EventOfEvents, eventNames } from '#apis/core/event.ts'
import { Namespace } from '#apis/core/namespace.ts'
import { Node } from '#apis/core/node.ts'
import { Pod } from '#apis/core/pod.ts'
import { ResourceQuota } from '#apis/core/resourcequota.ts'
import { Secret } from '#apis/core/secret.ts'
import { ServiceAccount } from '#apis/core/serviceaccount.ts'
import { kinds } from '#apis/kinds.ts'
import { KubeVirt } from '#apis/kubevirt/kubevirt.ts'
import { VirtualMachineInstanceMigration } from '#apis/kubevirt/migration.ts'
import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { VirtualMachineInstance, type VmiSpec } from '#apis/kubevirt/vmi.ts'
import type { ObjectMeta } from '#apis/meta/object.ts'
import { NetworkAttachmentDefinition } from '#apis/net/attachment.ts'
import { namespaceFinalizer } from '#controllers/namespace.ts'
import { configMapErrors, configMapWithDefaults, secretErrors, secretWithDefaults } from '#core/access/config.ts'
import { eventWrite, instanceWrite, leaseWrite, nodeWrite, type Placement, podWrite } from '#core/access/node.ts'
import { attachErrors } from '#core/admission/attach.ts'
import { type ClusterConfig, kubeVirtErrors } from '#core/admission/config.ts'
import { eventErrors } from '#core/admission/event.ts'
import { instanceErrors } from '#core/admission/instance.ts'
import { systemGroup, templateErrors } from '#core/admission/template.ts'
import { isBeyondAdmission, specWithDefaults, vmErrors, withDefaults, withLinkChanger } from '#core/admission/vm.ts'
import { migrationErrors, migrationWithDefaults } from '#core/migration/admission.ts'
import { quotaErrors, quotaResources, quotaWithDefaults } from '#core/quota/admission.ts'
import { podAmounts } from '#core/quota/amounts.ts'
import { countOf } from '#core/quota/judge.ts'
import { vmiFinalizer } from '#core/vm/instance.ts'
import type { Authorizer } from '#machinery/rest/access/authorizer.ts'
import type { Owner } from '#machinery/rest/claims.ts'
import { type Served, serve, serveView, type User } from '#machinery/rest/strategy.ts'
import { accessKinds } from './access.ts'
import { type MacPool, ownerOf } from './mac-pool.ts'

/** What the rules of kinds ask the rest of the server. */
export type ServedWorld = Readonly<{
  macs: MacPool
  access: Authorizer
  /** Whether networks are attached by whoever names them, without the right to get them. */
  anyNamespaceNetworks: boolean
  config: () => ClusterConfig
  placement: Placement
  instance: (namespace: string, name: string) => VirtualMachineInstance | undefined
  migrations: (namespace: string, name: string) => readonly VirtualMachineInstanceMigration[]
}>

/** Every kind the server serves, with the rules that are its own. */
export function servedKinds(world: ServedWorld): readonly Served[] {
  const { macs, access, config, placement, instance, migrations } = world
  const attachable = (
    specs: Readonly<{ now: VmiSpec; old: VmiSpec | undefined; path: string }>,
    { namespace = '' }: ObjectMeta,
    user: User,
  ) => {
    // The controllers copy what was judged in the VM.
    if (world.anyNamespaceNetworks || user.groups.includes(systemGroup)) return []
    const { now, old, path } = specs
    const attacher = { user: user.name, mayAttach: mayGetNetwork(access, user) }
    return attachErrors(now.networks, old?.networks, { path, namespace }, attacher)
  }
  const worldOf = (own: Owner) => ({ config: config(), holderOf: (mac: string) => macs.holderOf(mac, own) })
  const served = [
    serve(Namespace, {
      prepare: (namespace, old) =>
        old
          ? namespace
          : {
              ...namespace,
              metadata: { ...namespace.metadata, finalizers: [namespaceFinalizer] },
              status: { phase: 'Active' },
            },
    }),
    serve(Node, { restrict: (node, old, user) => nodeWrite(user, node, old) }),
    serve(Pod, {
      restrict: (pod, old, user) => podWrite(user, pod, old),
      amounts: (pod) => ({ ...podCount, ...podAmounts(pod) }),
    }),
    serve(Event, { validate: eventErrors, restrict: (event, _old, user) => eventWrite(user, event, placement) }),
    serveView(EventOfEvents, Event, eventNames),
    serve(VirtualMachine, {
      prepare: (vm, old, user) => {
        const newMac = macs.chooserFor(ownerOf(VirtualMachine.kind, vm.metadata))
        return withLinkChanger(withDefaults(vm, old, newMac, config()), old, user.name)
      },
      validate: (vm, old, user) => [
        ...(isBeyondAdmission(vm, old)
          ? []
          : [
              ...vmErrors(vm, old, worldOf(ownerOf(VirtualMachine.kind, vm.metadata))),
              ...templateErrors(vm, old, user),
            ]),
        // Its guest may run on for a while though it is to go.
        ...attachable(templatesOf(vm, old), vm.metadata, user),
      ],
      claims: (vm) => macs.wishOfVm(vm),
      webhook: 'virtualmachine-validator.kubevirt.io',
    }),
    serve(VirtualMachineInstance, {
      prepare: (vmi, old) => {
        const newMac = macs.chooserFor(ownerOf(VirtualMachineInstance.kind, vmi.metadata))
        const spec = specWithDefaults(vmi.spec, old?.spec, newMac, config())
        return { ...vmi, spec, metadata: old ? vmi.metadata : { ...vmi.metadata, finalizers: [vmiFinalizer] } }
      },
      validate: (vmi, old, user) => {
        const { owner, copied } = macs.wishOfInstance(vmi)
        const { holderOf, ...world } = worldOf(owner)
        // What it has from its VM was judged there.
        const judged = (mac: string) => (copied.includes(mac) ? undefined : holderOf(mac))
        const specs = { now: vmi.spec, old: old?.spec, path: 'spec' }
        return [
          ...instanceErrors(vmi, old, user, { ...world, holderOf: judged }),
          ...attachable(specs, vmi.metadata, user),
        ]
      },
      claims: (vmi) => macs.wishOfInstance(vmi),
      restrict: (vmi, old, user) => instanceWrite(user, old ?? vmi),
      webhook: 'virtualmachineinstances-create-validator.kubevirt.io',
    }),
    serve(VirtualMachineInstanceMigration, {
      prepare: migrationWithDefaults,
      validate: (migration, old, user) =>
        migrationErrors(migration, old, { instance, migrations, isSystem: user.groups.includes(systemGroup) }),
      webhook: 'migration-create-validator.kubevirt.io',
    }),
    serve(KubeVirt, { validate: kubeVirtErrors, webhook: 'kubevirt-validator.kubevirt.io' }),
    serve(NetworkAttachmentDefinition),
    serve(ConfigMap, { prepare: configMapWithDefaults, validate: configMapErrors }),
    serve(Secret, { prepare: secretWithDefaults, validate: secretErrors }),
    serve(ServiceAccount),
    serve(ResourceQuota, {
      prepare: quotaWithDefaults,
      validate: (quota) => quotaErrors(quota, limitable),
    }),
    serve(Lease, { restrict: (lease, old, user) => leaseWrite(user, old ?? lease) }),
    ...accessKinds(access),
  ]
  return served.map(counted)
}

/** The specs of a VM's instance, as it was and as it is to be. */
function templatesOf(vm: VirtualMachine, old: VirtualMachine | undefined) {
  return { now: vm.spec.template.spec, old: old?.spec.template.spec, path: 'spec.template.spec' }
}

function mayGetNetwork(access: Authorizer, user: User) {
  const { group, plural: resource } = NetworkAttachmentDefinition
  return (namespace: string, name: string) =>
    access.decide(user, { verb: 'get', group, resource, namespace, name }).allowed
}

const podCount = countOf(Pod)
const limitable = quotaResources(kinds)

/** Every object of a namespace takes at least one of its kind. */
function counted(one: Served): Served {
  const count = countOf(one.kind)
  return { ...one, strategy: { amounts: () => count, ...one.strategy } }
}
