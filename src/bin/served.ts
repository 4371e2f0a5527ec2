import { Lease } from '#apis/coordination/lease.ts'
import { ConfigMap } from '#apis/core/configmap.ts'
import { Event } from '#apis/core/event.ts'
import { Namespace } from '#apis/core/namespace.ts'
import { Node } from '#apis/core/node.ts'
import { Pod } from '#apis/core/pod.ts'
import { Secret } from '#apis/core/secret.ts'
import { ServiceAccount } from '#apis/core/serviceaccount.ts'
import { KubeVirt } from '#apis/kubevirt/kubevirt.ts'
import { VirtualMachineInstanceMigration } from '#apis/kubevirt/migration.ts'
import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { NetworkAttachmentDefinition } from '#apis/net/attachment.ts'
import { namespaceFinalizer } from '#controllers/namespace.ts'
import { configMapErrors, configMapWithDefaults, secretErrors, secretWithDefaults } from '#core/access/config.ts'
import { instanceErrors, migrationErrors } from '#core/admission/instance.ts'
import { specWithDefaults, vmErrors, withDefaults } from '#core/admission/vm.ts'
import { vmiFinalizer } from '#core/vm/instance.ts'
import type { Authorizer } from '#machinery/rest/access/authorizer.ts'
import { type Served, serve } from '#machinery/rest/strategy.ts'
import { accessKinds } from './access.ts'
import type { MacPool } from './mac-pool.ts'

/** Every kind the server serves, with the rules that are its own. */
export function servedKinds(macs: MacPool, access: Authorizer): readonly Served[] {
  return [
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
    serve(Node),
    serve(Pod),
    serve(Event, { isUncollected: true }),
    serve(VirtualMachine, {
      prepare: (vm, old) => withDefaults(vm, old, () => macs.take()),
      validate: vmErrors,
      webhook: 'virtualmachine-validator.kubevirt.io',
    }),
    serve(VirtualMachineInstance, {
      prepare: (vmi, old) => {
        const spec = specWithDefaults(vmi.spec, old?.spec, () => macs.take())
        return { ...vmi, spec, metadata: old ? vmi.metadata : { ...vmi.metadata, finalizers: [vmiFinalizer] } }
      },
      validate: instanceErrors,
      webhook: 'virtualmachineinstances-create-validator.kubevirt.io',
    }),
    serve(VirtualMachineInstanceMigration, {
      validate: migrationErrors,
      webhook: 'migration-create-validator.kubevirt.io',
    }),
    serve(KubeVirt),
    serve(NetworkAttachmentDefinition),
    serve(ConfigMap, { prepare: configMapWithDefaults, validate: configMapErrors }),
    serve(Secret, { prepare: secretWithDefaults, validate: secretErrors }),
    serve(ServiceAccount),
    serve(Lease),
    ...accessKinds(access),
  ]
}
