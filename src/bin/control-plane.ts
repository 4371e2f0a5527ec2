import { Event } from '#apis/core/event.ts'
import { Namespace } from '#apis/core/namespace.ts'
import { Node } from '#apis/core/node.ts'
import { Pod } from '#apis/core/pod.ts'
import { kinds } from '#apis/kinds.ts'
import { KubeVirt } from '#apis/kubevirt/kubevirt.ts'
import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { type ApiObject, apiVersionOf, type Kind } from '#apis/meta/object.ts'
import { explain, faultKind } from '#base/fault.ts'
import type { Log } from '#base/log.ts'
import { repairDefaultRoles, startClusterRoleController } from '#controllers/cluster-roles.ts'
import { startGarbageController } from '#controllers/garbage.ts'
import { startNamespaceController } from '#controllers/namespace.ts'
import { startServiceAccountController } from '#controllers/service-account.ts'
import { startVmController } from '#controllers/vm.ts'
import { startVmiController } from '#controllers/vmi.ts'
import { systemGroup } from '#core/admission/instance.ts'
import type { Client } from '#machinery/client/client.ts'
import { makeInformer } from '#machinery/client/informer.ts'
import { makeRecorder, sweepEvents } from '#machinery/client/recorder.ts'
import { Authorizer } from '#machinery/rest/access/authorizer.ts'
import { LocalClient } from '#machinery/rest/local-client.ts'
import { Registry } from '#machinery/rest/registry.ts'
import type { Store } from '#machinery/store/store.ts'
import { type AccessCaches, accessSource, followAccess } from './access.ts'
import { MacPool } from './mac-pool.ts'
import { servedKinds } from './served.ts'

/** How often events that nobody repeats are looked for, milliseconds. */
const sweepMs = 300_000

/** The API's inside and the controllers over it. */
export type ControlPlane = Readonly<{
  registry: Registry
  access: Authorizer
  client: Client
  /** A client for another component of this process, under its own name. */
  clientOf(component: string): Client
  settled(): Promise<void>
}>

/** Starts everything that runs beside the store and needs no host. Resolves when the caches are filled. */
export async function startControlPlane(store: Store, log: Log, signal: AbortSignal): Promise<ControlPlane> {
  const macs = new MacPool(() => vms.list())
  const access = new Authorizer(accessSource(() => caches))
  const registry = new Registry(store, servedKinds(macs, access))
  const clientOf = (name: string) => new LocalClient(registry, { name, groups: [systemGroup], isInternal: true })
  const client = clientOf('system:patchbay:controllers')
  await bootstrap(client)
  await repairDefaultRoles(client)
  const options = { log, signal }
  const caches: AccessCaches = followAccess(client, options)
  const vms = makeInformer(client, VirtualMachine, {}, options)
  const vmis = makeInformer(client, VirtualMachineInstance, {}, options)
  const pods = makeInformer(client, Pod, {}, options)
  const nodes = makeInformer(client, Node, {}, options)
  const namespaces = makeInformer(client, Namespace, {}, options)
  await Promise.all([vms, vmis, pods, nodes, namespaces, ...Object.values(caches)].map((one) => one.synced))
  const world = {
    client,
    vms,
    vmis,
    pods,
    nodes,
    recorder: makeRecorder(client, 'patchbay-controller', log),
    log,
    signal,
  }
  const controllers = [
    startVmController(world),
    startVmiController(world),
    startNamespaceController({ client, namespaces, log, signal }),
    startClusterRoleController({ client, roles: caches.clusterRoles, log, signal }),
    startServiceAccountController({ client, namespaces, accounts: caches.accounts, log, signal }),
    startGarbageController({ client, kinds: kinds.filter((kind) => kind.kind !== Event.kind), log, signal }),
  ]
  for (const vm of vms.list()) controllers[0]!.enqueue(`${vm.metadata.namespace}/${vm.metadata.name}`)
  for (const vmi of vmis.list()) controllers[1]!.enqueue(`${vmi.metadata.namespace}/${vmi.metadata.name}`)
  for (const namespace of namespaces.list()) controllers[2]!.enqueue(namespace.metadata.name)
  const timer = setInterval(() => {
    sweepEvents(client, Date.now()).catch((error: unknown) =>
      log.warn({ cause: explain(error) }, 'Cannot sweep events'),
    )
  }, sweepMs)
  timer.unref()
  signal.addEventListener('abort', () => clearInterval(timer))
  return {
    registry,
    access,
    client,
    clientOf,
    settled: async () => {
      await Promise.all(controllers.map((controller) => controller.stop()))
    },
  }
}

/** The objects every installation has. */
async function bootstrap(client: Client): Promise<void> {
  for (const name of ['default', 'kube-system', 'kubevirt'])
    await createIfMissing(client, Namespace, {
      apiVersion: apiVersionOf(Namespace),
      kind: Namespace.kind,
      metadata: { name },
    })
  await createIfMissing(client, KubeVirt, {
    apiVersion: apiVersionOf(KubeVirt),
    kind: KubeVirt.kind,
    metadata: { namespace: 'kubevirt', name: 'kubevirt' },
    spec: {},
  })
  await client.modify(
    KubeVirt,
    { namespace: 'kubevirt', name: 'kubevirt' },
    (current) => ({ ...current, status: { ...current.status, phase: 'Deployed' } }),
    { subresource: 'status' },
  )
}

async function createIfMissing<T extends ApiObject>(client: Client, kind: Kind<T>, object: T): Promise<void> {
  if (await client.get(kind, object.metadata)) return
  try {
    await client.create(kind, object)
  } catch (error) {
    if (faultKind(error) !== 'AlreadyExists') throw error
  }
}
