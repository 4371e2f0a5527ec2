import { DataVolume } from '#apis/cdi/datavolume.ts'
import type { PersistentVolumeClaim } from '#apis/core/persistentvolumeclaim.ts'
import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Stored } from '#apis/meta/object.ts'
import { explain, Fault, faultKind } from '#base/fault.ts'
import { timestamp } from '#base/time.ts'
import { dataVolumeOf } from '#core/disk/data-volumes.ts'
import { claimNames, claimReasons, readinessOf } from '#core/disk/readiness.ts'
import { expanded } from '#core/instancetype/expand.ts'
import { namesTypes } from '#core/instancetype/matcher.ts'
import { attachmentMode } from '#core/migration/required.ts'
import { findCondition } from '#core/vm/conditions.ts'
import { instanceOf, withAnnotationsOf } from '#core/vm/instance.ts'
import { failedCreate } from '#core/vm/launcher.ts'
import { liveUpdate, withNicsOf, withoutUnplugged } from '#core/vm/live.ts'
import { adopted, inTheWay, ownershipOf } from '#core/vm/ownership.ts'
import { isFinal, planPower } from '#core/vm/power.ts'
import { vmStatus } from '#core/vm/status.ts'
import { addFinalizer, dropFinalizer } from '#machinery/client/finalizers.ts'
import { onAnyChange } from '#machinery/client/informer.ts'
import { modifySame } from '#machinery/client/modify-same.ts'
import { type Controller, runController } from '#machinery/loop/reconcile.ts'
import { claimWorld } from './claim-world.ts'
import { type ControllerContext, fromQueueKey, queueKey } from './context.ts'
import { orphanFinalizer } from './garbage.ts'

/** Keeps a VM until its instance is gone (KubeVirt's own finalizer). */
export const vmFinalizer = 'kubevirt.io/virtualMachineControllerFinalize'

/** Creates and deletes instances as their VMs demand, applies live changes to them, and writes the status of VMs. */
export function startVmController(context: ControllerContext): Controller {
  const controller = runController({
    name: 'vm',
    workers: 4,
    log: context.log,
    signal: context.signal,
    reconcile: (key) => reconcile(context, key),
  })
  onAnyChange(context.vms, (vm) => controller.enqueue(queueKey(vm)))
  onAnyChange(context.vmis, (vmi) => controller.enqueue(queueKey(vmi)))
  const enqueueUsers = ({ metadata }: Stored<DataVolume> | Stored<PersistentVolumeClaim>) => {
    for (const vm of context.vms.list())
      if (vm.metadata.namespace === metadata.namespace && usesClaim(vm, metadata.name)) controller.enqueue(queueKey(vm))
  }
  onAnyChange(context.claims, enqueueUsers)
  onAnyChange(context.dataVolumes, enqueueUsers)
  context.onRoom((namespace) => {
    for (const vm of context.vms.list())
      if (vm.metadata.namespace === namespace && findCondition(vm.status?.conditions, 'Failure'))
        controller.enqueue(queueKey(vm))
  })
  context.kubevirts.onChange(() => {
    for (const vm of context.vms.list()) controller.enqueue(queueKey(vm))
  })
  context.types.onChange(() => {
    for (const vm of context.vms.list()) if (namesTypes(vm)) controller.enqueue(queueKey(vm))
  })
  return controller
}

async function reconcile(context: ControllerContext, key: string): Promise<{ againAfterMs: number } | undefined> {
  const vm = context.vms.get(fromQueueKey(key))
  if (!vm) return undefined
  // The instance is orphaned: wait until the garbage collector has removed its owner reference.
  if (vm.metadata.deletionTimestamp && vm.metadata.finalizers?.includes(orphanFinalizer)) return undefined
  const found = context.vmis.get(fromQueueKey(key))
  const ownership = found && ownershipOf(vm, found)
  const vmi = ownership === 'own' ? found : undefined
  // The change comes back as an event.
  if (found && ownership === 'orphan' && !vm.metadata.deletionTimestamp) return adopt(context, vm, found)
  await addFinalizer(context.client, VirtualMachine, vm, vmFinalizer)
  // The change a guest waits for goes first; bookkeeping comes after.
  const restartRequired = vmi ? await followLive(context, vm, vmi) : false
  await cleanUp(context, vm, vmi)
  const dataVolumeRefused = vm.metadata.deletionTimestamp ? undefined : await makeDataVolumes(context, vm)
  const nowMs = Date.now()
  const waits = waitOf(context, vm, vmi)
  const action = planPower(vm, vmi, nowMs)
  const isHeld = waits !== undefined && untilDone.has(waits.waits)
  const refused =
    dataVolumeRefused ?? (action.do === 'start' && !found && !isHeld ? await start(context, vm) : undefined)
  if (action.do === 'stop') await stop(context, vm, action.uid)
  const blocked = action.do === 'start' && found && ownership === 'foreign' ? inTheWay(found) : undefined
  if (blocked !== undefined && findCondition(vm.status?.conditions, 'Failure')?.message !== blocked)
    context.recorder(vm, 'Warning', failedCreate, `Error creating virtual machine instance: ${blocked}`)
  if (waits?.waits === claimReasons.failed && vm.status?.printableStatus !== 'DataVolumeError')
    context.recorder(vm, 'Warning', 'FailedDataVolumeImport', waits.message)
  const failure = refused ? `failure while starting VMI: ${explain(refused)}` : blocked
  const whole = expanded(vm, context.types.find(vm))
  const { generation } = vm.metadata
  const about = { whole, restartRequired, failure, generation, waits: waits?.waits }
  const seen = { vmi, ...about, nowMs, now: timestamp(nowMs) }
  await context.client.modify(
    VirtualMachine,
    vm.metadata,
    (current) => ({ ...current, status: vmStatus(current, seen) }),
    { subresource: 'status' },
  )
  // Retried then at the latest.
  if (refused) throw refused
  if (vm.metadata.deletionTimestamp && !vmi) await dropFinalizer(context.client, VirtualMachine, vm, vmFinalizer)
  return action.do === 'nothing' && action.againAfterMs !== undefined
    ? { againAfterMs: action.againAfterMs }
    : undefined
}

/** Waits that end before an instance is created, so that none stands around while a disk is imported (KubeVirt). */
const untilDone: ReadonlySet<string> = new Set([claimReasons.provisioning, claimReasons.failed])

/** What the volumes of a VM without a running instance wait for. */
function waitOf(
  context: ControllerContext,
  vm: Stored<VirtualMachine>,
  vmi: Stored<VirtualMachineInstance> | undefined,
) {
  if (vmi && !isFinal(vmi)) return undefined
  const { namespace } = vm.metadata
  const readiness = readinessOf(vm.spec.template.spec, namespace, claimWorld(context, namespace))
  return 'waits' in readiness ? readiness : undefined
}

function usesClaim({ spec }: VirtualMachine, name: string): boolean {
  return (
    claimNames(spec.template.spec).includes(name) ||
    (spec.dataVolumeTemplates ?? []).some(({ metadata }) => metadata?.name === name)
  )
}

/** Makes the DataVolumes of a VM's templates that do not exist; resolves to the Fault of a refusal. */
async function makeDataVolumes(context: ControllerContext, vm: Stored<VirtualMachine>): Promise<Fault | undefined> {
  const { namespace } = vm.metadata
  for (const template of vm.spec.dataVolumeTemplates ?? []) {
    const dv = dataVolumeOf(vm, template)
    const key = { namespace, name: dv.metadata.name }
    // A claim of that name is used as it is (KubeVirt).
    if (context.dataVolumes.get(key) || context.claims.get(key)) continue
    try {
      await context.client.create(DataVolume, dv)
      context.recorder(vm, 'Normal', 'SuccessfulDataVolumeCreate', `Created DataVolume ${key.name}`)
    } catch (error) {
      const kind = faultKind(error)
      if (kind === 'AlreadyExists') continue
      if (!(error instanceof Fault) || (kind !== 'Forbidden' && kind !== 'Invalid')) throw error
      const message = `Error creating DataVolume ${key.name}: ${explain(error)}`
      context.recorder(vm, 'Warning', 'FailedDataVolumeCreate', message)
      return error
    }
  }
  return undefined
}

/** Makes an orphan the VM's own, which it is controlled by from then on. */
async function adopt(
  context: ControllerContext,
  vm: Stored<VirtualMachine>,
  vmi: Stored<VirtualMachineInstance>,
): Promise<undefined> {
  const made = await modifySame(context.client, VirtualMachineInstance, vmi, (current) => adopted(vm, current))
  if (made)
    context.recorder(
      vm,
      'Normal',
      'SuccessfulAdopt',
      `Adopted the virtual machine instance ${vmi.metadata.name}, which had no controller`,
    )
}

/** Creates the instance of a VM; resolves to the Fault of a refusal. */
async function start(context: ControllerContext, vm: Stored<VirtualMachine>): Promise<Fault | undefined> {
  try {
    const isPaused = vm.status?.stateChangeRequests?.[0]?.data?.paused === 'true'
    const types = context.types.find(vm)
    const [missing] = types.missing
    if (missing) return new Fault('NotFound', missing.why)
    const vmi = await context.client.create(VirtualMachineInstance, instanceOf(expanded(vm, types), { isPaused }))
    context.recorder(
      vm,
      'Normal',
      'SuccessfulCreate',
      `Started the virtual machine by creating the new virtual machine instance ${vmi.metadata.name}`,
    )
  } catch (error) {
    if (error instanceof Fault && error.kind === 'Forbidden') {
      context.recorder(vm, 'Warning', failedCreate, `Error creating virtual machine instance: ${explain(error)}`)
      return error
    }
    // An earlier pass created it, and the cache does not have it yet.
    if (faultKind(error) !== 'AlreadyExists') throw error
  }
  return undefined
}

async function stop(context: ControllerContext, vm: Stored<VirtualMachine>, uid: string): Promise<void> {
  const { name } = vm.metadata
  await context.client.delete(VirtualMachineInstance, vm.metadata, { uid })
  context.recorder(
    vm,
    'Normal',
    'SuccessfulDelete',
    `Stopped the virtual machine by deleting the virtual machine instance ${name}`,
  )
}

/** Removes absent interfaces from the template once neither instance nor guest has them. */
async function cleanUp(
  context: ControllerContext,
  vm: Stored<VirtualMachine>,
  vmi: Stored<VirtualMachineInstance> | undefined,
): Promise<void> {
  if (withoutUnplugged(vm, vmi) === vm) return
  await modifySame(context.client, VirtualMachine, vm, (current) => withoutUnplugged(current, vmi))
}

/** Applies live changes; resolves to whether the rest needs a restart. */
async function followLive(
  context: ControllerContext,
  vm: Stored<VirtualMachine>,
  vmi: Stored<VirtualMachineInstance>,
): Promise<boolean> {
  if (vmi.metadata.deletionTimestamp || isFinal(vmi)) return false
  const { namespace } = vm.metadata
  const types = context.types.find(vm)
  const template = expanded(vm, types).spec.template.spec
  const wanted = types.missing.length ? withNicsOf(vmi.spec, template) : template
  const mode = attachmentMode(context.kubevirts.list()[0])
  const update = liveUpdate(wanted, vmi, namespace, mode)
  if (update.spec || withAnnotationsOf(vm, vmi) !== vmi)
    await modifySame(context.client, VirtualMachineInstance, vmi, (current) => {
      const { spec } = liveUpdate(wanted, current, namespace, mode)
      return { ...withAnnotationsOf(vm, current), ...(spec && { spec }) }
    })
  return update.restartRequired
}
