import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { DiskStep } from '../disk/plan.ts'
import { desiredNics } from '../nic/desired.ts'
import type { Step as NicStep } from '../nic/plan.ts'
import type { Observation } from './observation.ts'
import { diskKey, filesKey, type InstanceStep, imageKey, nicKey, sandboxKey } from './steps.ts'
import { imageDepends } from './volumes.ts'

/** Everything that making the sandbox depends on. */
export function sandboxDepends({ nads }: Pick<Observation, 'nads'>, vmi: VirtualMachineInstance): string {
  const { spec, metadata, status } = vmi
  const networks = desiredNics(spec, metadata.namespace ?? 'default').map(({ network }) => [
    network,
    nads.configOf(network),
  ])
  return JSON.stringify([spec, status?.phase === 'Running', networks])
}

/** Everything that starting the guest depends on. */
export function startDepends({ spec, metadata }: VirtualMachineInstance): string {
  return JSON.stringify([spec, metadata.annotations])
}

/** Everything that a step about a card depends on. */
export function nicDepends({ nads, guest }: Observation, { do: what, nic }: NicStep): string {
  const state = guest?.is === 'there' ? guest.domain.state : undefined
  return JSON.stringify([what, nic.network, nic.link, nads.configOf(nic.network), state])
}

/** Everything that a step about a disk depends on. A guest that opens a tray may close it again soon. */
export function diskDepends({ guest }: Pick<Observation, 'guest'>, step: DiskStep): string {
  const { state, ports, disks } = guest?.is === 'there' ? guest.domain : {}
  const isOpen = disks?.find(({ alias }) => alias === step.alias)?.isOpen
  return JSON.stringify([step.do, 'disk' in step ? step.disk.file : '', state, ports?.free, isOpen])
}

/**
 * The keys under which the failure of a step is remembered, each with what it depends on: the step backs off until that changes.
 * A step without keys fails its whole pass, which the queue retries.
 */
export function dependenciesOf(
  seen: Observation,
  step: InstanceStep,
): readonly (readonly [key: string, depends: string])[] {
  switch (step.do) {
    case 'ensure':
      return step.plugs.length
        ? step.plugs.map((nic) => [nicKey(nic), nicDepends(seen, nic)])
        : [[sandboxKey, sandboxDepends(seen, seen.vmi)]]
    case 'pull':
      return [[imageKey(step.wanted), imageDepends(step.wanted)]]
    case 'release':
      return [['release', step.names.join()]]
    case 'start':
      return [['start', startDepends(seen.vmi)]]
    case 'attachDisk':
    case 'changeMedium':
    case 'detachDisk':
      return [[diskKey(step.step.name), diskDepends(seen, step.step)]]
    case 'dropFiles':
      return [[filesKey, step.files.join()]]
    case 'update':
    case 'plug':
    case 'unplug':
    case 'rewire':
      return [[nicKey(step.nic), nicDepends(seen, step.nic)]]
    default:
      return []
  }
}
