import { Lease } from '#apis/coordination/lease.ts'
import { Endpoints, PodDisruptionBudget, Service } from '#apis/core/absent.ts'
import { ConfigMap } from '#apis/core/configmap.ts'
import { Event, EventOfEvents, eventNames } from '#apis/core/event.ts'
import { Namespace } from '#apis/core/namespace.ts'
import { Node } from '#apis/core/node.ts'
import { Pod } from '#apis/core/pod.ts'
import { ResourceQuota } from '#apis/core/resourcequota.ts'
import { Secret } from '#apis/core/secret.ts'
import { ServiceAccount } from '#apis/core/serviceaccount.ts'
import { VirtualMachineClusterInstancetype, VirtualMachineInstancetype } from '#apis/instancetype/instancetype.ts'
import { VirtualMachineClusterPreference, VirtualMachinePreference } from '#apis/instancetype/preference.ts'
import { kinds } from '#apis/kinds.ts'
import { KubeVirt } from '#apis/kubevirt/kubevirt.ts'
import { olderVersions } from '#apis/meta/object.ts'
import { NetworkAttachmentDefinition } from '#apis/net/attachment.ts'
import { namespaceFinalizer } from '#controllers/namespace.ts'
import { auditEntryWrite } from '#core/access/audit-entry.ts'
import { configMapErrors, configMapWithDefaults, secretErrors, secretWithDefaults } from '#core/access/config.ts'
import { eventWrite, leaseWrite, nodeWrite, podWrite } from '#core/access/node.ts'
import { kubeVirtErrors } from '#core/admission/config.ts'
import { eventErrors } from '#core/admission/event.ts'
import { nadErrors } from '#core/admission/nad.ts'
import { quotaErrors, quotaResources, quotaWithDefaults } from '#core/quota/admission.ts'
import { podAmounts } from '#core/quota/amounts.ts'
import { countOf } from '#core/quota/judge.ts'
import { uncarriedWarnings } from '#core/vm/uncarried.ts'
import { type Served, serve, serveConverted, serveOlder } from '#machinery/rest/strategy.ts'
import { accessKinds } from './access.ts'
import { type ServedContext, vmKinds } from './served-vms.ts'
import { volumeKinds } from './served-volumes.ts'

/** Every kind the server serves, with its own rules. */
export function servedKinds(context: ServedContext): readonly Served[] {
  const { access, placement } = context
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
    serve(Event, {
      validate: eventErrors,
      restrict: (event, old, user) => eventWrite(user, event, placement) ?? auditEntryWrite(user, event, old),
    }),
    serveConverted(EventOfEvents, Event, eventNames),
    ...vmKinds(context),
    ...volumeKinds(context),
    ...typeKinds,
    serve(KubeVirt, { validate: kubeVirtErrors, webhook: 'kubevirt-validator.kubevirt.io' }),
    serve(NetworkAttachmentDefinition, { validate: nadErrors }),
    serve(ConfigMap, { prepare: configMapWithDefaults, validate: configMapErrors }),
    serve(Secret, { prepare: secretWithDefaults, validate: secretErrors }),
    serve(ServiceAccount),
    serve(Service),
    serve(Endpoints),
    serve(PodDisruptionBudget),
    serve(ResourceQuota, {
      prepare: quotaWithDefaults,
      validate: (quota) => quotaErrors(quota, limitable),
    }),
    serve(Lease, { restrict: (lease, old, user) => leaseWrite(user, old ?? lease) }),
    ...accessKinds(access),
  ]
  // KubeVirt still serves its kinds in this version, too.
  const older = served.flatMap((one) =>
    (olderVersions[one.kind.group] ?? []).map((version) => serveOlder(one, version)),
  )
  return [...served, ...older].map(counted)
}

/** Instance types and preferences. */
const typeKinds = [
  serve(VirtualMachineInstancetype, {
    warnings: (one, old) => uncarriedWarnings(VirtualMachineInstancetype, one, old),
  }),
  serve(VirtualMachineClusterInstancetype, {
    warnings: (one, old) => uncarriedWarnings(VirtualMachineClusterInstancetype, one, old),
  }),
  serve(VirtualMachinePreference, { warnings: (one, old) => uncarriedWarnings(VirtualMachinePreference, one, old) }),
  serve(VirtualMachineClusterPreference, {
    warnings: (one, old) => uncarriedWarnings(VirtualMachineClusterPreference, one, old),
  }),
]

const podCount = countOf(Pod)
const limitable = quotaResources(kinds)

/** Every object of a namespace counts as at least one of its kind. */
function counted(one: Served): Served {
  const count = countOf(one.kind)
  return { ...one, strategy: { amounts: () => count, ...one.strategy } }
}
