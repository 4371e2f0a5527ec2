import { Pod } from '#apis/core/pod.ts'
import type { KubeVirt } from '#apis/kubevirt/kubevirt.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Stored } from '#apis/meta/object.ts'
import { Eviction } from '#apis/policy/eviction.ts'
import { Fault } from '#base/fault.ts'
import { isObject, type JsonObject } from '#base/json.ts'
import { decideEviction, isToLeave } from '#core/vm/eviction.ts'
import type { Placement } from '#core/vm/scheduling.ts'
import type { Client } from '#machinery/client/client.ts'
import type { Informer } from '#machinery/client/informer.ts'
import { modifySame } from '#machinery/client/modify-same.ts'
import type { Review } from '#machinery/rest/access/review.ts'
import { notFound } from '#machinery/rest/status.ts'
import type { Scheduler } from './scheduler.ts'

/** What an eviction is decided by. */
type EvictionContext = Readonly<{
  /** The server's own client: the caller has the right to evict, not to write what that changes. */
  client: Client
  scheduler: Pick<Scheduler, 'find'>
  kubevirts: Pick<Informer<KubeVirt>, 'list'>
}>

/**
 * What `kubectl drain` posts to `pods/NAME/eviction`. The pod of a running instance is never just deleted: its guest is shut down
 * in order, or moved, or the eviction is refused with 429, as KubeVirt's `evictionStrategy` says.
 */
export function evictions(context: EvictionContext): Review {
  return {
    at: Pod,
    subresource: 'eviction',
    kind: Eviction,
    isWrite: true,
    answer: async (input, { path }) => {
      const { namespace = '', name = '' } = path
      const pod = await context.client.get(Pod, { namespace, name })
      if (!pod) throw notFound(Pod, name)
      const { dryRun } = isObject(input.deleteOptions) ? input.deleteOptions : {}
      await evict(context, pod, { dryRun: Array.isArray(dryRun) && dryRun.includes('All') })
      return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 }
    },
  }
}

async function evict(context: EvictionContext, pod: Stored<Pod>, { dryRun }: { dryRun: boolean }): Promise<void> {
  const { client, kubevirts } = context
  const node = pod.spec.nodeName ?? ''
  const deletePod = () => client.delete(Pod, pod.metadata, { uid: pod.metadata.uid, dryRun })
  const vmi = await instanceOf(context, pod)
  if (!vmi) return deletePod()
  const byDefault = defaultStrategy(kubevirts.list()[0])
  const outcome = decideEviction(pod, vmi, { byDefault, elsewhere: () => elsewhereFor(context, vmi, node) })
  if (outcome.do === 'deletePod') return deletePod()
  if (outcome.do === 'shutDown')
    return client.delete(VirtualMachineInstance, vmi.metadata, { uid: vmi.metadata.uid, dryRun })
  if (outcome.do === 'evacuate' && !dryRun) await markForEvacuation(context, vmi, node)
  const causes = [{ reason: 'DisruptionBudget', message: outcome.text }]
  // Without Retry-After: client-go would try again by itself, and `kubectl drain` would say nothing for a minute.
  throw new Fault('TooMany', outcome.text, { data: { details: { causes } } })
}

/** The instance that a pod was made for. */
async function instanceOf(
  { client }: EvictionContext,
  { metadata }: Stored<Pod>,
): Promise<Stored<VirtualMachineInstance> | undefined> {
  const owner = metadata.ownerReferences?.find(({ kind }) => kind === VirtualMachineInstance.kind)
  if (!owner) return undefined
  const vmi = await client.get(VirtualMachineInstance, { namespace: metadata.namespace, name: owner.name })
  return vmi?.metadata.uid === owner.uid ? vmi : undefined
}

/** The strategy of instances that have none of their own, by the cluster's configuration. */
function defaultStrategy(kubevirt: KubeVirt | undefined): string | undefined {
  const { evictionStrategy } = (kubevirt?.spec?.configuration ?? {}) as JsonObject
  return typeof evictionStrategy === 'string' ? evictionStrategy : undefined
}

/** Another node that can take an instance, or why there is none. */
function elsewhereFor({ scheduler }: EvictionContext, vmi: VirtualMachineInstance, leaving: string): Placement {
  const place = scheduler.find(vmi, { leaving })
  return 'node' in place && place.node.metadata.name === leaving ? { why: 'none of them fits it' } : place
}

/** Has the instance leave its node; the migration is created by the controller of automatic migrations. */
async function markForEvacuation(
  { client }: EvictionContext,
  vmi: Stored<VirtualMachineInstance>,
  node: string,
): Promise<void> {
  if (isToLeave(vmi)) return
  await modifySame(
    client,
    VirtualMachineInstance,
    vmi,
    (current) => ({ ...current, status: { ...current.status, evacuationNodeName: node } }),
    { subresource: 'status' },
  )
}
