import type { DataVolume } from '#apis/cdi/datavolume.ts'
import type { Node } from '#apis/core/node.ts'
import { PersistentVolumeClaim } from '#apis/core/persistentvolumeclaim.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Stored } from '#apis/meta/object.ts'
import type { Log } from '#base/log.ts'
import { bindingOf, boundStatus, inUseFinalizer, isBound, nodeOfClaim, withVolume } from '#core/disk/claims.ts'
import { clonedClaim, dataVolumeOwner } from '#core/disk/data-volumes.ts'
import { claimNames } from '#core/disk/readiness.ts'
import { isFinal } from '#core/vm/power.ts'
import type { Client } from '#machinery/client/client.ts'
import { dropFinalizer } from '#machinery/client/finalizers.ts'
import { type Informer, onAnyChange } from '#machinery/client/informer.ts'
import { modifySame } from '#machinery/client/modify-same.ts'
import type { Recorder } from '#machinery/client/recorder.ts'
import { type Controller, runController } from '#machinery/loop/reconcile.ts'
import { fromQueueKey, queueKey } from './context.ts'

type Options = Readonly<{
  client: Client
  claims: Informer<PersistentVolumeClaim>
  dataVolumes: Informer<DataVolume>
  vmis: Informer<VirtualMachineInstance>
  nodes: Informer<Node>
  recorder: Recorder
  log: Log
  signal: AbortSignal
}>

type Claim = Stored<PersistentVolumeClaim>

/** Binds claims to volumes on nodes, and keeps those that instances use. */
export function startClaimController(options: Options): Controller {
  const { claims, vmis, nodes, log, signal } = options
  /** What was reported of claims that wait, by UID: once each. */
  const reported = new Map<string, string>()
  const controller = runController({
    name: 'claims',
    // One at a time, so that each binding counts for the next one.
    workers: 1,
    log,
    signal,
    reconcile: (key) => reconcile(options, reported, key),
  })
  const enqueueWaiting = () => {
    for (const claim of claims.list()) if (!isBound(claim)) controller.enqueue(queueKey(claim))
  }
  onAnyChange(claims, (claim, isThere) => {
    if (!isThere) reported.delete(claim.metadata.uid)
    controller.enqueue(queueKey(claim))
    // Its copies go where it is.
    if (isBound(claim)) enqueueWaiting()
  })
  nodes.onChange(enqueueWaiting)
  onAnyChange(vmis, ({ metadata, spec }) => {
    for (const name of claimNames(spec)) controller.enqueue(`${metadata.namespace}/${name}`)
  })
  return controller
}

async function reconcile(options: Options, reported: Map<string, string>, key: string): Promise<undefined> {
  const { client, recorder } = options
  const claim = options.claims.get(fromQueueKey(key))
  if (!claim) return
  if (claim.metadata.deletionTimestamp) return release(options, claim)
  if (isBound(claim)) return
  const binding = bindingOf(claim, worldOf(options, claim))
  if ('reason' in binding) {
    if (reported.get(claim.metadata.uid) !== binding.message)
      recorder(claim, 'Warning', binding.reason, binding.message)
    reported.set(claim.metadata.uid, binding.message)
    return
  }
  const made = await modifySame(client, PersistentVolumeClaim, claim, (current) =>
    current.metadata.deletionTimestamp ? undefined : withVolume(current, binding.node),
  )
  if (!made || made.metadata.deletionTimestamp) return
  await modifySame(
    client,
    PersistentVolumeClaim,
    claim,
    (current) =>
      isBound(current) ? undefined : { ...current, status: { ...current.status, ...boundStatus(current) } },
    { subresource: 'status' },
  )
  recorder(
    claim,
    'Normal',
    'ProvisioningSucceeded',
    `Successfully provisioned volume pvc-${claim.metadata.uid} on node ${binding.node}`,
  )
}

/** Lets a deleted claim go once no instance uses it; one that has no pod yet waits for another claim. The cache may lag behind, so the server is asked. */
async function release({ client }: Options, claim: Claim): Promise<undefined> {
  const { namespace, name, finalizers } = claim.metadata
  if (!finalizers?.includes(inUseFinalizer)) return
  const { items } = await client.list(VirtualMachineInstance, { namespace })
  if (items.some((vmi) => hasStarted(vmi) && claimNames(vmi.spec).includes(name))) return
  await dropFinalizer(client, PersistentVolumeClaim, claim, inUseFinalizer)
}

function hasStarted(vmi: VirtualMachineInstance): boolean {
  const { phase } = vmi.status ?? {}
  return !isFinal(vmi) && phase !== undefined && phase !== 'Pending'
}

function worldOf({ claims, dataVolumes, nodes }: Options, claim: Claim) {
  const counts = new Map<string, number>()
  for (const one of claims.list()) {
    const node = nodeOfClaim(one)
    if (node !== undefined) counts.set(node, (counts.get(node) ?? 0) + 1)
  }
  return {
    nodes: nodes.list(),
    claimsOn: (node: string) => counts.get(node) ?? 0,
    beside: nodeOfSource({ claims, dataVolumes }, claim),
  }
}

/** Where the claim is that this one is to be a copy of; undefined if it is to be none. */
function nodeOfSource({ claims, dataVolumes }: Pick<Options, 'claims' | 'dataVolumes'>, claim: Claim) {
  const owner = dataVolumeOwner(claim)
  if (!owner) return undefined
  const dv = dataVolumes.get({ namespace: claim.metadata.namespace, name: owner.name })
  // Its owner is not in the cache yet; its event brings the next pass.
  if (dv?.metadata.uid !== owner.uid) return 'pending'
  const cloned = clonedClaim(dv)
  if (!cloned) return undefined
  const source = claims.get(cloned)
  return (source && isBound(source) && nodeOfClaim(source)) || 'pending'
}
