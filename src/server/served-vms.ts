import { VirtualMachineInstanceMigration } from '#apis/kubevirt/migration.ts'
import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { VirtualMachineInstance, type VmiSpec } from '#apis/kubevirt/vmi.ts'
import type { FieldError, ObjectMeta } from '#apis/meta/object.ts'
import { NetworkAttachmentDefinition } from '#apis/net/attachment.ts'
import { instanceWrite, type Placement } from '#core/access/node.ts'
import { attachErrors } from '#core/admission/attach.ts'
import type { ClusterConfig } from '#core/admission/config.ts'
import { templateVolumeErrors } from '#core/admission/data-volumes.ts'
import { instanceErrors } from '#core/admission/instance.ts'
import { instanceMetadata, mirrorErrors, mirrorRefusal } from '#core/admission/mirror.ts'
import { systemGroup, templateErrors } from '#core/admission/template.ts'
import { isBeyondAdmission, specWithDefaults, vmErrors, withDefaults, withLinkChanger } from '#core/admission/vm.ts'
import { expanded, typeErrors } from '#core/instancetype/expand.ts'
import type { InferWorld } from '#core/instancetype/infer.ts'
import { type FindTypes, withMatcherDefaults } from '#core/instancetype/matcher.ts'
import { migrationErrors, migrationWithDefaults } from '#core/migration/admission.ts'
import { mirrorVerb } from '#core/nic/mirror.ts'
import { vmiFinalizer } from '#core/vm/instance.ts'
import { isolationErrors, withIsolation } from '#core/vm/isolation.ts'
import { parkedErrors, withParkedLinks } from '#core/vm/parking.ts'
import { uncarriedWarnings } from '#core/vm/uncarried.ts'
import type { Authorizer } from '#machinery/rest/access/authorizer.ts'
import type { Owner } from '#machinery/rest/claims.ts'
import { type Served, serve, type User } from '#machinery/rest/strategy.ts'
import { type MacPool, ownerOf } from './mac-pool.ts'
import { mayReadIn } from './served-volumes.ts'

/** What the rules of kinds read from the rest of the server. */
export type ServedContext = Readonly<{
  macs: MacPool
  access: Authorizer
  /** Whether users may attach any network they name, without the right to get it. */
  anyNamespaceNetworks: boolean
  config: () => ClusterConfig
  types: FindTypes
  /** What the disks of volumes are, and are made from. */
  disks: InferWorld
  placement: Placement
  instance: (namespace: string, name: string) => VirtualMachineInstance | undefined
  migrations: (namespace: string, name: string) => readonly VirtualMachineInstanceMigration[]
}>

/** VMs, their instances and migrations. */
export function vmKinds(context: ServedContext): readonly Served[] {
  return [virtualMachine(context), virtualMachineInstance(context), virtualMachineInstanceMigration(context)]
}

function virtualMachine(context: ServedContext): Served {
  const { macs, config, types } = context
  const whole = (vm: VirtualMachine) => expanded(vm, types(vm))
  return serve(VirtualMachine, {
    prepare: (vm, old, user) => {
      const newMac = macs.chooserFor(ownerOf(VirtualMachine.kind, vm.metadata))
      const whole = withDefaults(withMatcherDefaults(vm, inferring(context, user)), old, newMac, config())
      return withLinkChanger(withIsolation(withParkedLinks(whole, old), old), old, user.name)
    },
    validate: (vm, old, user) => [
      ...(isBeyondAdmission(vm, old)
        ? []
        : [
            ...typeErrors(vm, types(vm), old),
            ...vmErrors(whole(vm), old, contextOf(context, ownerOf(VirtualMachine.kind, vm.metadata))),
            ...templateErrors(vm, old, user),
            ...templateVolumeErrors(vm, old, mayReadIn(context.access, user)),
          ]),
      ...parkedErrors(vm, old),
      ...isolationErrors(vm, old),
      ...mirrorErrors(instanceMetadata(vm), old && instanceMetadata(old), vm.spec.template.spec),
      // Its guest may run on for a while although it is terminating.
      ...networkErrors(context, templatesOf(vm, old), vm.metadata, user),
    ],
    restrict: (vm, old, user) => mirrorVeto(context, instanceMetadata(vm), old && instanceMetadata(old), user),
    warnings: (vm, old) => uncarriedWarnings(VirtualMachine, whole(vm), old && whole(old)),
    claims: (vm) => macs.claimsOfVm(vm),
    webhook: 'virtualmachine-validator.kubevirt.io',
  })
}

/** What a user may get of what disks are made from: nothing else may be inferred. */
function inferring({ disks, access }: ServedContext, user: User): InferWorld {
  const mayRead = mayReadIn(access, user)
  return {
    ...disks,
    claim: (key) => (mayRead('PersistentVolumeClaim', key.namespace, key.name) ? disks.claim(key) : undefined),
    dataSource: (key) => (mayRead('DataSource', key.namespace, key.name) ? disks.dataSource(key) : undefined),
  }
}

function virtualMachineInstance(context: ServedContext): Served {
  const { macs, config } = context
  return serve(VirtualMachineInstance, {
    prepare: (vmi, old) => {
      const newMac = macs.chooserFor(ownerOf(VirtualMachineInstance.kind, vmi.metadata))
      const spec = specWithDefaults(vmi.spec, old?.spec, newMac, config())
      return { ...vmi, spec, metadata: old ? vmi.metadata : { ...vmi.metadata, finalizers: [vmiFinalizer] } }
    },
    validate: (vmi, old, user) => {
      const { owner, copied } = macs.claimsOfInstance(vmi)
      const { holderOf, ...rest } = contextOf(context, owner)
      // What it has from its VM was checked there.
      const judged = (mac: string) => (copied.includes(mac) ? undefined : holderOf(mac))
      const specs = { now: vmi.spec, old: old?.spec, path: 'spec' }
      return [
        ...instanceErrors(vmi, old, user, { ...rest, holderOf: judged }),
        ...networkErrors(context, specs, vmi.metadata, user),
        // The controllers copy what was checked in the VM, whose interfaces may be absent.
        ...(user.groups.includes(systemGroup) ? [] : mirrorErrors(vmi.metadata, old?.metadata, vmi.spec)),
      ]
    },
    warnings: (vmi, old) => uncarriedWarnings(VirtualMachineInstance, vmi, old),
    claims: (vmi) => macs.claimsOfInstance(vmi),
    restrict: (vmi, old, user) =>
      instanceWrite(user, old ?? vmi) ?? mirrorVeto(context, vmi.metadata, old?.metadata, user),
    webhook: 'virtualmachineinstances-create-validator.kubevirt.io',
  })
}

function virtualMachineInstanceMigration({ instance, migrations }: ServedContext): Served {
  return serve(VirtualMachineInstanceMigration, {
    prepare: migrationWithDefaults,
    validate: (migration, old, user) =>
      migrationErrors(migration, old, { instance, migrations, isSystem: user.groups.includes(systemGroup) }),
    webhook: 'migration-create-validator.kubevirt.io',
  })
}

/** What the rules of a VM or an instance read beside the object. */
function contextOf({ config, macs }: ServedContext, own: Owner) {
  return { config: config(), holderOf: (mac: string) => macs.holderOf(mac, own) }
}

type ObjectMetadata = Parameters<typeof mirrorRefusal>[0]
type Specs = Readonly<{ now: VmiSpec; old: VmiSpec | undefined; path: string }>

/** Errors of the networks that a user attaches. */
function networkErrors(
  context: ServedContext,
  { now, old, path }: Specs,
  metadata: ObjectMeta,
  user: User,
): FieldError[] {
  // The controllers copy what was checked in the VM.
  if (context.anyNamespaceNetworks || user.groups.includes(systemGroup)) return []
  const { namespace = '' } = metadata
  const attacher = { user: user.name, mayAttach: mayUseNetwork(context.access, user, 'get') }
  return attachErrors(now.networks, old?.networks, { path, namespace }, attacher)
}

/** The specs of a VM's instance, before and after the write. */
function templatesOf(vm: VirtualMachine, old: VirtualMachine | undefined): Specs {
  return { now: vm.spec.template.spec, old: old?.spec.template.spec, path: 'spec.template.spec' }
}

/** Why a user may not have the traffic of networks copied; undefined when they may. */
function mirrorVeto({ access }: ServedContext, now: ObjectMetadata, old: ObjectMetadata | undefined, user: User) {
  if (user.groups.includes(systemGroup)) return undefined
  return mirrorRefusal(now, old, { user: user.name, mayMirror: mayUseNetwork(access, user, mirrorVerb) })
}

function mayUseNetwork(access: Authorizer, user: User, verb: string) {
  const { group, plural: resource } = NetworkAttachmentDefinition
  return (namespace: string, name: string) => access.decide(user, { verb, group, resource, namespace, name }).allowed
}
