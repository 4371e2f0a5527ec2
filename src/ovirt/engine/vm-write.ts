import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { Stored } from '#apis/meta/object.ts'
import { runStrategyOf } from '#core/vm/power.ts'
import { EngineFault, incomplete, operationFailed, unsupported } from '../wire/faults.ts'
import type { Input } from '../wire/read.ts'
import type { Acting, Call, Verb } from './call.ts'
import { type Cluster, canLink, versionText } from './clusters.ts'
import { blankId } from './ids.ts'
import { importVm } from './import.ts'
import { engineFault } from './kube-faults.ts'
import { clusterLabel, commentAnnotation, descriptionAnnotation, ownGenerationAnnotation } from './names.ts'
import { withAnnotation } from './nics/edit.ts'
import { nicsOf } from './nics/nic.ts'
import { type Copied, copyOf } from './template-write.ts'
import type { Machine } from './world.ts'

type VM = Stored<VirtualMachine>

/** What a VM of Blank is that says nothing of itself. */
const blankSpec = { domain: { memory: { guest: '1Gi' }, devices: {} } }

/** Creates a VM that is down, of a template or of an OVF. @throws EngineFault */
export async function createVm(call: Call): Promise<VM> {
  const { input, world, client } = call
  const name = input.textAt('name')
  const cluster = clusterIn(input, await world.clusters())
  const configuration = input.at('initialization', 'configuration')
  if (configuration) {
    if (!cluster) throw incomplete('Vm', 'add', 'cluster.id|name')
    if (configuration.textAt('type')?.toLowerCase() !== 'ovf') throw unsupported('A configuration that is no OVF')
    return importVm(call, configuration.at('data')?.text ?? '', cluster, name)
  }
  const isTemplateGiven = input.at('template', 'id') !== undefined || input.at('template', 'name') !== undefined
  const missing = [
    ...(name ? [] : ['name']),
    ...(cluster ? [] : ['cluster.id|name']),
    ...(isTemplateGiven ? [] : ['template.id|name']),
  ]
  if (!name || !cluster || missing.length) throw incomplete('Vm', 'add', ...missing)
  const source = await templateOf(call)
  const copy: Copied = source ? copyOf(source) : { annotations: {}, template: { spec: blankSpec } }
  const vm: VirtualMachine = {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachine',
    metadata: {
      namespace: cluster.dataCenter.namespace,
      name,
      ...(!cluster.isFirst && { labels: { [clusterLabel]: cluster.name } }),
      annotations: { ...copy.annotations, [ownGenerationAnnotation]: '1' },
    },
    spec: { runStrategy: 'Halted', template: copy.template },
  }
  try {
    const made = await client.create(VirtualMachine, withProperties(vm, input))
    await noteVm(call, made, 34, 'USER_ADD_VM', `VM ${name} was created by ${call.account.name}.`)
    return made
  } catch (error) {
    throw engineFault(error)
  }
}

async function templateOf({ input, world }: Call): Promise<VM | undefined> {
  const id = input.textAt('template', 'id')
  const name = input.textAt('template', 'name')
  if (id === blankId || (id === undefined && name === 'Blank')) return undefined
  const found = (await world.templates()).find(({ vm }) =>
    id === undefined ? vm.metadata.name === name : vm.metadata.uid === id,
  )
  if (!found) throw new EngineFault(404, 'Operation Failed', `Entity not found: ${id ?? name}`)
  return found.vm
}

/** The cluster that a body names by id or name; undefined where it names none. @throws EngineFault 404 */
function clusterIn(input: Input, clusters: readonly Cluster[]): Cluster | undefined {
  const id = input.textAt('cluster', 'id')
  const name = input.textAt('cluster', 'name')
  if (id === undefined && name === undefined) return undefined
  const found = clusters.find((one) => (id === undefined ? one.name === name : one.id === id))
  if (!found)
    throw new EngineFault(
      404,
      'Operation Failed',
      `Entity not found: Cluster: ${id === undefined ? 'name' : 'id'}=${id ?? name}`,
    )
  return found
}

/** Changes what a body says of a VM. @throws EngineFault */
export async function updateVm(call: Call, machine: Machine): Promise<VM | undefined> {
  const { input, client } = call
  const name = input.textAt('name')
  if (name !== undefined && name !== machine.vm.metadata.name)
    throw operationFailed(400, 'Cannot edit VM. A VM keeps the name it was created with.')
  const cluster = clusterIn(input, await call.world.clusters())
  if (cluster && cluster.id !== machine.cluster.id) await requireMove(call, machine, cluster)
  try {
    const { metadata } = machine.vm
    return await client.modify(VirtualMachine, metadata, (vm) => withProperties(inCluster(vm, cluster), input))
  } catch (error) {
    throw engineFault(error)
  }
}

/** A VM may go to another cluster of its data center that has its networks (facts/ovirt.md §7). */
async function requireMove({ world }: Call, machine: Machine, cluster: Cluster): Promise<void> {
  if (cluster.dataCenter.id !== machine.cluster.dataCenter.id)
    throw operationFailed(409, 'Cannot edit VM Cluster. The VM belongs to another Data Center.')
  const nics = nicsOf(machine, await world.profiles())
  const names = nics.flatMap(({ profile }) => (profile ? [profile.network.name] : []))
  const missing = [...new Set(names)].filter((one) => cluster.networks && !cluster.networks.has(one))
  if (missing.length)
    throw operationFailed(
      409,
      `Cannot edit VM Cluster. Selected Cluster is missing one or more networks ${missing.join(', ')} that is used by VM.`,
    )
  if (!canLink(cluster) && nics.some(({ linked }) => !linked))
    throw operationFailed(
      400,
      `Cannot edit VM Cluster. Link state is set to 'Down' on the virtual machine's interface, this is not supported for clusters of version ${versionText(cluster)}.`,
    )
}

function inCluster(vm: VM, cluster: Cluster | undefined): VM {
  if (!cluster) return vm
  const { [clusterLabel]: _, ...labels } = vm.metadata.labels ?? {}
  const own = cluster.isFirst ? labels : { ...labels, [clusterLabel]: cluster.name }
  return { ...vm, metadata: { ...vm.metadata, labels: own } }
}

/** The VM with memory, CPUs and texts of a body; what it says nothing about stays. @throws EngineFault 400 */
function withProperties<T extends VirtualMachine>(vm: T, input: Input): T {
  const memory = wholeAt(input, 'memory')
  const topology = {
    ...numberPart('cores', wholeAt(input, 'cpu', 'topology', 'cores')),
    ...numberPart('sockets', wholeAt(input, 'cpu', 'topology', 'sockets')),
    ...numberPart('threads', wholeAt(input, 'cpu', 'topology', 'threads')),
  }
  const { template } = vm.spec
  const { domain } = template.spec
  const changed = {
    ...domain,
    ...(memory !== undefined && { memory: { ...domain.memory, guest: String(memory) } }),
    ...(Object.keys(topology).length && { cpu: { ...domain.cpu, ...topology } }),
  }
  const next = { ...vm, spec: { ...vm.spec, template: { ...template, spec: { ...template.spec, domain: changed } } } }
  return withText(
    withText(next, descriptionAnnotation, input.textAt('description')),
    commentAnnotation,
    input.textAt('comment'),
  )
}

function withText<T extends VirtualMachine>(vm: T, name: string, text: string | undefined): T {
  return text === undefined ? vm : withAnnotation(vm, name, text || undefined)
}

function numberPart(name: string, value: number | undefined): Record<string, number> {
  return value === undefined ? {} : { [name]: value }
}

function wholeAt(input: Input, ...path: readonly string[]): number | undefined {
  const text = input.textAt(...path)
  if (text === undefined || text === '') return undefined
  if (/^\d{1,15}$/.test(text) && Number(text) > 0) return Number(text)
  throw new EngineFault(400, 'Invalid value', `Value "${text}" of ${path.join('.')} isn't a valid number above 0`)
}

/** What an action of a VM is in the engine's words, and here. */
const powers = {
  start: { code: 153, reason: 'USER_STARTED_VM', text: 'was started by', verb: 'start', running: false },
  stop: { code: 33, reason: 'USER_STOP_VM', text: 'powered off by', verb: 'stop', running: true },
  shutdown: { code: 73, reason: 'USER_INITIATED_SHUTDOWN', text: 'is being shut down by', verb: 'stop', running: true },
  reboot: { code: 157, reason: 'USER_REBOOT_VM', text: 'is being rebooted by', verb: 'restart', running: true },
  migrate: { code: 62, reason: 'VM_MIGRATION_START', text: 'is being migrated by', verb: 'migrate', running: true },
} as const satisfies Record<
  string,
  Readonly<{ code: number; reason: string; text: string; verb: Verb; running: boolean }>
>

export type Power = keyof typeof powers

/** Starts, stops, reboots or moves a VM; answered at once, as clients poll (facts/ovirt-clients.md §4). @throws EngineFault */
export async function changePower(call: Acting, machine: Machine, power: Power): Promise<void> {
  const { status, vm } = machine
  const { verb, running, code, reason, text } = powers[power]
  const { name, namespace } = vm.metadata
  if (running === (status === 'down'))
    throw operationFailed(409, running ? `Cannot ${power} VM. VM is not running.` : 'Cannot run VM. VM is running.')
  // A VM that is on its way there already has what is asked for.
  if (power === 'shutdown' && status === 'powering_down') return
  const input = power === 'stop' ? { gracePeriod: 0 } : {}
  try {
    await call.gateway.act(call.account.user, verb, { namespace, name }, input)
  } catch (error) {
    throw engineFault(error)
  }
  await noteVm(call, vm, code, reason, `VM ${name} ${text} ${call.account.name}.`)
}

/** Removes a VM that is down. @throws EngineFault */
export async function removeVm(call: Call, { vm, status }: Machine): Promise<void> {
  if (status !== 'down' || runStrategyOf(vm) === 'Always')
    throw operationFailed(409, 'Cannot remove VM. VM is running.')
  try {
    await call.client.delete(VirtualMachine, vm.metadata, { uid: vm.metadata.uid })
  } catch (error) {
    throw engineFault(error)
  }
}

async function noteVm(call: Acting, vm: VM, code: number, reason: string, text: string): Promise<void> {
  const { namespace } = vm.metadata
  const { correlationId, account } = call
  await call.gateway.note({
    code,
    reason,
    severity: 'normal',
    text,
    vm,
    namespace,
    user: account.name,
    correlationId,
  })
}
