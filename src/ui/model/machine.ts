import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Stored } from '#apis/meta/object.ts'
import { isDevice } from '#core/nic/bindings.ts'
import { desiredNics, wantedNics } from '#core/nic/desired.ts'
import { flapOf } from '#core/nic/flap.ts'
import { podNetwork } from '#core/nic/nic.ts'
import { findCondition, isTrue } from '#core/vm/conditions.ts'
import { isIsolated } from '#core/vm/isolation.ts'
import { isRunning, type NicRow, nicRows } from '#core/vm/nic-rows.ts'
import { preview } from '#core/vm/preview.ts'
import { type Cable, cableOf, isMigrating } from './cable.ts'

/** A card of a machine, and its cable. */
export type Jack = Omit<NicRow, 'network'> &
  Readonly<{
    cable: Cable
    /** The network it is declared on, as the planner names it. */
    rail: string
    /** Whether it can be rewired and unplugged while its guest runs. */
    isPluggable: boolean
    /** It is a device of the host, which has no cable to pull. */
    isDevice: boolean
    isPrimary: boolean
  }>

export type Power = 'running' | 'paused' | 'migrating' | 'starting' | 'stopping' | 'stopped' | 'failed'

/** Everything that is shown of a machine, and what it comes from. */
export type Machine = Readonly<{
  /** `NAMESPACE/NAME` */
  key: string
  namespace: string
  name: string
  /** Undefined while it runs nowhere. */
  host: string | undefined
  power: Power
  /** The column STATUS of kubectl. */
  status: string
  jacks: readonly Jack[]
  /** Devices that only the guest has. */
  guestOnly: readonly NicRow[]
  /** Free ports of the running guest, and all of them. */
  ports: Readonly<{ free: number; total: number }> | undefined
  /** What is wrong with it, in sentences of the server. */
  problems: readonly string[]
  isIsolated: boolean
  /** The interface that flaps, and who has it flap. */
  flap: string | undefined
  isDeleting: boolean
  /** An instance without a VM cannot be changed. */
  isBare: boolean
  vm: Stored<VirtualMachine>
  vmi: Stored<VirtualMachineInstance> | undefined
}>

export function keyOf(namespace: string, name: string): string {
  return `${namespace}/${name}`
}

/** A machine from what the API has of it: a VM, its instance, or an instance without a VM. */
export function machineOf(
  declared: Stored<VirtualMachine> | undefined,
  vmi: Stored<VirtualMachineInstance> | undefined,
): Machine | undefined {
  const vm = declared ?? (vmi && bareVm(vmi))
  if (!vm) return undefined
  const { namespace, name, deletionTimestamp } = vm.metadata
  const running = isRunning(vmi) ? vmi : undefined
  const plan = preview(vm, running)?.plan
  const rails = railsOf(vm, running)
  const rows = nicRows(vm, vmi)
  const jacks = rows
    .filter((row) => row.name !== '')
    .map(({ network: _, ...row }): Jack => {
      const nic = rails.get(row.name)
      const rail = nic?.network ?? podNetwork
      return {
        ...row,
        rail,
        cable: cableOf({ row, rail, running, plan }),
        isPluggable: (nic?.isPluggable ?? false) && !isDevice(nic?.binding),
        isDevice: isDevice(nic?.binding),
        isPrimary: nic?.primary ?? false,
      }
    })
  return {
    key: keyOf(namespace, name),
    namespace,
    name,
    host: running?.status?.nodeName,
    power: powerOf(vm, running),
    status: vm.status?.printableStatus ?? vmi?.status?.phase ?? 'Stopped',
    jacks,
    guestOnly: rows.filter((row) => row.name === ''),
    ports: running?.status?.phase === 'Running' ? running.status.pciPorts : undefined,
    problems: problemsOf(vm, running),
    isIsolated: isIsolated(vm),
    flap: flapTextOf(vm),
    isDeleting: deletionTimestamp !== undefined,
    isBare: declared === undefined,
    vm,
    vmi,
  }
}

/** An instance without a VM, shown as if it were one. */
function bareVm({ metadata, spec }: Stored<VirtualMachineInstance>): Stored<VirtualMachine> {
  return { apiVersion: 'kubevirt.io/v1', kind: 'VirtualMachine', metadata, spec: { template: { spec } } }
}

/** Cards as they are declared; one that is no longer declared is where it runs. */
function railsOf(vm: Stored<VirtualMachine>, running: VirtualMachineInstance | undefined) {
  const { namespace } = vm.metadata
  const nics = [
    ...(running ? desiredNics(running.spec, namespace) : []),
    ...wantedNics(vm.spec.template.spec, namespace),
  ]
  return new Map(nics.map((nic) => [nic.name, nic]))
}

function powerOf(vm: Stored<VirtualMachine>, running: VirtualMachineInstance | undefined): Power {
  const status = vm.status?.printableStatus ?? ''
  if (!running) return /Err|Crash|Unschedulable|NotFound/.test(status) ? 'failed' : 'stopped'
  if (running.metadata.deletionTimestamp) return 'stopping'
  if (isMigrating(running)) return 'migrating'
  if (isTrue(running.status?.conditions, 'Paused')) return 'paused'
  if (running.status?.phase === 'Running') return 'running'
  return /Err|Crash|Unschedulable|NotFound/.test(status) ? 'failed' : 'starting'
}

/** Conditions whose status says that something is wrong: each with the status that does. */
const bad: readonly (readonly [type: string, status: 'True' | 'False'])[] = [
  ['Synchronized', 'False'],
  ['Failure', 'True'],
  ['PodScheduled', 'False'],
  ['LinkDrift', 'True'],
  ['RestartRequired', 'True'],
  ['MigrationRequired', 'True'],
]

function problemsOf(vm: VirtualMachine, running: VirtualMachineInstance | undefined): string[] {
  const all = [vm.status?.conditions, running?.status?.conditions]
  const texts = all.flatMap((conditions) =>
    bad.flatMap(([type, status]) => {
      const one = findCondition(conditions, type)
      return one?.status === status ? [one.message ?? one.reason ?? type] : []
    }),
  )
  return [...new Set(texts)]
}

function flapTextOf({ metadata }: Stored<VirtualMachine>): string | undefined {
  const flap = flapOf(metadata, Date.now())
  return flap && `${flap.interface}, ${flap.who}`
}
