import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Stored } from '#apis/meta/object.ts'
import { sameJson } from '#base/json.ts'
import { EngineFault, NotFound, operationFailed } from '../../wire/faults.ts'
import type { Acting } from '../call.ts'
import { engineFault } from '../kube-faults.ts'
import { ownGenerationAnnotation } from '../names.ts'
import { hasGuest, isUp, type Machine, type Profile } from '../world.ts'
import { interfaceName, wished, withAnnotation, withMirrors, withNic, withoutNic } from './edit.ts'
import { entriesOf, failuresOf, hostErrorOf, jobOf, plugOf } from './entries.ts'
import { type EngineNic, nicId, nicsOf, nicWithId } from './nic.ts'
import { holderOfMac, type NicChange, refusalOf } from './rules.ts'
import { settled } from './settle.ts'
import type { NicWish } from './wish.ts'

type VM = Stored<VirtualMachine>

/** A change that was decided on a VM as it is, and the VM after it. */
type Decided = Readonly<{ change: NicChange; before: VM; after: VM }>

/** Adds an interface. Resolves to it, when the guest has it. @throws EngineFault */
export async function addNic(
  call: Acting,
  machine: Machine,
  wish: NicWish & Readonly<{ name: string }>,
): Promise<EngineNic> {
  const id = await write(call, machine, (current, profiles) => {
    const nics = nicsOf(current, profiles)
    const name = interfaceName(
      wish.name,
      nics.map((one) => one.interface),
    )
    const fresh: EngineNic = {
      ...{ id: nicId(current.vm, name), interface: name, name: wish.name, type: 'virtio', mac: '' },
      ...{ linked: true, plugged: true, profile: undefined, isPrimary: false },
    }
    const profile = profileOf(wish, profiles)
    return { action: 'add', machine: current, nics, after: wished(fresh, wish, profile), wish, ...known(wish, profile) }
  })
  return mustFind(call, machine, id)
}

/** Edits an interface. Resolves to it, when the guest has the change. @throws EngineFault, NotFound */
export async function editNic(call: Acting, machine: Machine, nic: string, wish: NicWish): Promise<EngineNic> {
  if (wish.id !== undefined && wish.id.toLowerCase() !== nic.toLowerCase())
    throw new EngineFault(409, 'Broken immutability constraint', 'Attempt to set immutable field: id')
  const id = await write(call, machine, (current, profiles) => {
    const nics = nicsOf(current, profiles)
    const before = nicWithId(current, nic, profiles)
    if (!before) throw new NotFound()
    const profile = profileOf(wish, profiles)
    const after = wished(before, wish, profile)
    return { action: 'edit', machine: current, nics, before, after, wish, ...known(wish, profile) }
  })
  return mustFind(call, machine, id)
}

/** Removes an interface that no guest has. @throws EngineFault, NotFound */
export async function removeNic(call: Acting, machine: Machine, nic: string): Promise<void> {
  await write(call, machine, (current, profiles) => {
    const nics = nicsOf(current, profiles)
    const before = nicWithId(current, nic, profiles)
    if (!before) throw new NotFound()
    return { action: 'remove', machine: current, nics, before, wish: {}, isProfileKnown: true, macHolder: undefined }
  })
}

function profileOf({ profile }: NicWish, profiles: readonly Profile[]): Profile | undefined {
  return typeof profile === 'object' ? profiles.find(({ id }) => id === profile.id) : undefined
}

function known({ profile }: NicWish, found: Profile | undefined): Pick<NicChange, 'isProfileKnown' | 'macHolder'> {
  return { isProfileKnown: typeof profile !== 'object' || found !== undefined, macHolder: undefined }
}

async function mustFind(call: Acting, machine: Machine, id: string): Promise<EngineNic> {
  const vm = await call.client.get(VirtualMachine, machine.vm.metadata)
  const found = vm && nicWithId({ vm }, id, await call.world.profiles())
  if (!found) throw new NotFound()
  return found
}

type Decide = (machine: Machine, profiles: readonly Profile[]) => NicChange

/**
 * One change of one VM at a time: it is decided on the VM as it is, written, and answered when the guest has followed. What the
 * guest does not follow is taken back. Resolves to the id of the interface.
 */
function write(call: Acting, machine: Machine, decide: Decide): Promise<string> {
  return call.queues.run(machine.vm.metadata.uid, async () => {
    const startMs = Date.now()
    const earlier = await instanceOf(call, machine.vm)
    const { change, before, after } = await written(call, machine, decide)
    const id = (change.after ?? change.before)?.id ?? ''
    if (before === after) return id
    const trouble = await follow(call, change, earlier)
    if (trouble === undefined) {
      await log(call, change, entriesOf(change, call.account.name), startMs)
      return id
    }
    await takeBack(call, { change, before, after })
    await log(call, change, failuresOf(change, call.account.name), startMs)
    throw operationFailed(400, hostErrorOf(change), trouble)
  })
}

/** Decides and writes; decides again on what another writer made meanwhile. */
async function written(call: Acting, machine: Machine, decide: Decide): Promise<Decided> {
  const [profiles, everyVm] = await Promise.all([call.world.profiles(), call.world.everyVm()])
  let decided: Decided | undefined
  const apply = (vm: VM) => {
    const plan = decide({ ...machine, vm }, profiles)
    const one = plan.after ?? plan.before
    const mac = plan.after && plan.after.mac !== plan.before?.mac ? plan.wish.mac : undefined
    const change = {
      ...plan,
      macHolder: holderOfMac(mac, everyVm, { uid: vm.metadata.uid, interface: one?.interface }),
    }
    const refusal = refusalOf(change)
    if (refusal) throw refusal
    const edited = change.after ? withNic(vm, change.before, change.after) : one ? withoutNic(vm, one) : vm
    const { mirrors } = plan.wish
    const next = one && mirrors ? withMirrors(edited, one.interface, mirrors) : edited
    const after = sameJson(next, vm) ? vm : asOwn(next, vm)
    decided = { change, before: vm, after }
    return after === vm ? undefined : after
  }
  try {
    await call.client.modify(VirtualMachine, machine.vm.metadata, apply)
  } catch (error) {
    throw engineFault(error)
  }
  // Nothing was decided on a VM that is gone.
  if (!decided) throw new NotFound()
  return decided
}

/** A VM whose next generation is the engine's own change, if there is a next one. */
function asOwn(next: VM, { spec, metadata }: VM): VM {
  if (sameJson(next.spec, spec)) return next
  return withAnnotation(next, ownGenerationAnnotation, String((metadata.generation ?? 0) + 1))
}

/** Waits until the guest has a change. Resolves to why it has not; undefined when it has, or when there is no guest. */
async function follow(call: Acting, change: NicChange, earlier: Machine['vmi']): Promise<string | undefined> {
  const { machine, before, after } = change
  const isSeen = isUp(machine) && hasGuest(machine) && (before?.plugged || after?.plugged)
  const one = after ?? before
  if (!isSeen || !one || !earlier) return undefined
  const goal = { interface: one.interface, nic: after?.plugged ? after : undefined }
  const result = await settled(call.gateway.own, earlier, goal, call.signal)
  if (result.is === 'done') return undefined
  const verb = plugOf(change) ?? 'update'
  return result.is === 'failed' ? result.why : `The guest did not follow the ${verb} in time: ${result.why}`
}

function instanceOf({ gateway }: Acting, { metadata }: VM): Promise<Machine['vmi']> {
  return gateway.own.get(VirtualMachineInstance, metadata)
}

/** Puts back what was there before a change, if nobody has changed the VM since. */
async function takeBack(call: Acting, { change, before, after }: Decided): Promise<void> {
  const { spec, metadata } = before
  const { after: added } = change
  // An instance unplugs only what is declared absent: what is merely missing would stay in it until it is restarted.
  const isAdded = change.action === 'add' && added?.plugged === true
  const unplugged = added && withNic(after, added, { ...added, plugged: false }).spec
  let isTaken = false
  await call.client.modify(VirtualMachine, metadata, (current) => {
    // Defaults, such as a MAC address, may have come to what was written.
    isTaken = (current.metadata.generation ?? 0) <= (metadata.generation ?? 0) + 1
    if (!isTaken) return undefined
    const annotations = metadata.annotations ?? {}
    const restored = isAdded && unplugged ? unplugged : spec
    return asOwn({ ...current, metadata: { ...current.metadata, annotations }, spec: restored }, current)
  })
  if (!isTaken || !isAdded) return
  const now = await instanceOf(call, before)
  const goal = { interface: added.interface, nic: undefined }
  if (now) await settled(call.gateway.own, now, goal, call.signal)
  await call.client.modify(VirtualMachine, metadata, (current) => asOwn(withoutNic(current, added), current))
}

async function log(
  call: Acting,
  change: NicChange,
  entries: ReturnType<typeof entriesOf>,
  startMs: number,
): Promise<void> {
  const { vm } = change.machine
  const last = entries.at(-1)
  for (const entry of entries)
    await call.gateway.note({
      ...entry,
      vm,
      namespace: vm.metadata.namespace,
      user: call.account.name,
      correlationId: call.correlationId,
      ...(entry === last && { job: { description: jobOf(change), startMs } }),
    })
}
