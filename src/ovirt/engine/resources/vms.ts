import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { Doc } from '../../wire/document.ts'
import { NotFound, operationFailed, unsupported } from '../../wire/faults.ts'
import { type Call, complete, created, ok } from '../call.ts'
import { nicsOf } from '../nics/nic.ts'
import { ovfText } from '../ovf.ts'
import type { Route } from '../routes.ts'
import { changePower, createVm, type Power, removeVm, updateVm } from '../vm-write.ts'
import type { Machine } from '../world.ts'
import { listed, none } from './collection.ts'
import { theMachine } from './find.ts'
import { empty } from './places.ts'
import { vmCollections, vmDoc, vmFields } from './vm-doc.ts'

const power = (name: Power) => async (call: Call) => {
  await changePower(call, await theMachine(call), name)
  return complete()
}

/** A VM as it is after a write. */
async function shown({ client, world }: Call, machine: Machine) {
  const vm = await client.get(VirtualMachine, machine.vm.metadata)
  if (!vm) throw new NotFound()
  return vmDoc({ ...machine, vm }, await world.hosts())
}

/** The OVF of a VM, for those that ask for all of its content. */
async function ovfPart({ query, world }: Call, machine: Machine): Promise<Doc> {
  if (query.all_content?.toLowerCase() !== 'true') return {}
  const data = ovfText(machine.vm, nicsOf(machine, await world.profiles()))
  return { initialization: { configuration: { data, type: 'ovf' } } }
}

export const vmRoutes: readonly Route[] = [
  {
    path: 'vms',
    get: async (call) => {
      const [machines, hosts, profiles] = await Promise.all([
        call.world.machines(),
        call.world.hosts(),
        call.world.profiles(),
      ])
      const networks = (one: Machine) => nicsOf(one, profiles).flatMap(({ profile }) => profile?.network.name ?? [])
      const show = (machine: Machine) => vmDoc(machine, hosts)
      return listed(call, { root: 'vms', item: 'vm', show }, machines, vmFields(hosts, networks))
    },
    post: async (call) => {
      const vm = await createVm(call)
      const [cluster] = (await call.world.clusters()).filter(
        ({ dataCenter }) => dataCenter.namespace === vm.metadata.namespace,
      )
      if (!cluster) throw new NotFound()
      return created('vm', vmDoc({ vm, vmi: undefined, status: 'down', cluster }, []))
    },
  },
  {
    path: 'vms/:vm',
    get: async (call) => {
      const machine = await theMachine(call)
      return ok('vm', { ...vmDoc(machine, await call.world.hosts()), ...(await ovfPart(call, machine)) })
    },
    put: async (call) => {
      const machine = await theMachine(call)
      await updateVm(call, machine)
      return ok('vm', await shown(call, machine))
    },
    remove: async (call) => {
      await removeVm(call, await theMachine(call))
      return complete()
    },
  },
  ...(['start', 'stop', 'shutdown', 'reboot', 'migrate'] as const).map((name) => ({
    path: `vms/:vm/${name}`,
    post: power(name),
  })),
  {
    path: 'vms/:vm/suspend',
    post: async (call) => {
      await theMachine(call)
      throw unsupported('Suspending a VM')
    },
  },
  {
    path: 'vms/:vm/ticket',
    post: async (call) => {
      await theMachine(call)
      throw operationFailed(409, 'Cannot set VM ticket. There is no console of the VM to show.')
    },
  },
  ...empty('vms/:vm', vmCollections).map(({ path, get }) => ({
    path,
    get: async (call: Call) => {
      await theMachine(call)
      return get?.(call) ?? none('collection')()
    },
  })),
]
