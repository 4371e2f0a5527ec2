import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Doc } from '../../wire/document.ts'
import { NotFound } from '../../wire/faults.ts'
import { type Call, complete, created, ok, type Reply } from '../call.ts'
import { type EngineNic, isSynced, nicsOf, nicWithId } from '../nics/nic.ts'
import { newNicWish, nicWish } from '../nics/wish.ts'
import { addNic, editNic, removeNic } from '../nics/write.ts'
import { hrefOf, type Route } from '../routes.ts'
import type { Machine } from '../world.ts'
import { link, listed, none } from './collection.ts'
import { theMachine } from './find.ts'
import { nicStatistics } from './nic-statistics.ts'
import { reportedDevicesOf } from './reported-devices.ts'

/** An interface with everything clients read of it (facts/ovirt.md §1.2). */
function nicDoc(nic: EngineNic, { vm, vmi }: Pick<Machine, 'vm' | 'vmi'>): Doc {
  const { uid } = vm.metadata
  const at = (...more: readonly string[]) => hrefOf('vms', uid, 'nics', nic.id, ...more)
  const { profile } = nic
  return {
    href: at(),
    id: nic.id,
    actions: { link: ['activate', 'deactivate'].map((name) => link(at(name), name)) },
    name: nic.name,
    description: '',
    comment: '',
    link: ['networkfilterparameters', 'reporteddevices', 'statistics'].map((name) => link(at(name), name)),
    ...(nic.type && { interface: nic.type }),
    linked: nic.linked,
    mac: { address: nic.mac },
    plugged: nic.plugged,
    synced: isSynced(nic, vmi),
    vm: { href: hrefOf('vms', uid), id: uid },
    ...(profile && { vnic_profile: { href: hrefOf('vnicprofiles', profile.id), id: profile.id } }),
  }
}

async function theNic(call: Call, machine: Machine): Promise<EngineNic> {
  const found = nicWithId(machine, call.params.nic ?? '', await call.world.profiles())
  if (!found) throw new NotFound()
  return found
}

/** The interface as the engine answers a write: read anew. */
async function written(call: Call, nic: EngineNic, machine: Machine, reply: (doc: Doc) => Reply): Promise<Reply> {
  const vmi = machine.vmi && (await freshVmi(call, machine))
  return reply(nicDoc(nic, { vm: machine.vm, vmi }))
}

async function freshVmi({ gateway }: Call, { vmi }: Machine): Promise<Machine['vmi']> {
  return vmi && gateway.own.get(VirtualMachineInstance, vmi.metadata)
}

const setPlugged = (plugged: boolean) => async (call: Call) => {
  await editNic(call, await theMachine(call), call.params.nic ?? '', { plugged })
  return complete()
}

export const nicRoutes: readonly Route[] = [
  {
    path: 'vms/:vm/nics',
    get: async (call) => {
      const machine = await theMachine(call)
      const show = (nic: EngineNic) => nicDoc(nic, machine)
      return listed(call, { root: 'nics', item: 'nic', show }, nicsOf(machine, await call.world.profiles()))
    },
    post: async (call) => {
      const machine = await theMachine(call)
      const nic = await addNic(call, machine, newNicWish(call.input))
      return written(call, nic, machine, (doc) => created('nic', doc))
    },
  },
  {
    path: 'vms/:vm/nics/:nic',
    get: async (call) => {
      const machine = await theMachine(call)
      return ok('nic', nicDoc(await theNic(call, machine), machine))
    },
    put: async (call) => {
      const machine = await theMachine(call)
      const nic = await editNic(call, machine, call.params.nic ?? '', nicWish(call.input))
      return written(call, nic, machine, (doc) => ok('nic', doc))
    },
    remove: async (call) => {
      await removeNic(call, await theMachine(call), call.params.nic ?? '')
      return complete()
    },
  },
  { path: 'vms/:vm/nics/:nic/activate', post: setPlugged(true) },
  { path: 'vms/:vm/nics/:nic/deactivate', post: setPlugged(false) },
  {
    path: 'vms/:vm/nics/:nic/reporteddevices',
    get: async (call) => {
      const machine = await theMachine(call)
      const { mac } = await theNic(call, machine)
      return ok('reported_devices', { reported_device: reportedDevicesOf(machine, mac) })
    },
  },
  {
    path: 'vms/:vm/nics/:nic/statistics',
    get: async (call) => {
      const machine = await theMachine(call)
      return nicStatistics(call, machine, await theNic(call, machine))
    },
  },
  { path: 'vms/:vm/nics/:nic/networkfilterparameters', get: none('network_filter_parameters') },
]
