import { parseQuantity } from '#apis/meta/quantity.ts'
import type { JsonObject } from '#base/json.ts'
import { version } from '#base/version.ts'
import { instanceMetadata } from '#core/admission/mirror.ts'
import { sourcesIn } from '#core/nic/mirror.ts'
import { podNetwork } from '#core/nic/nic.ts'
import { memoryOf } from '#core/vm/memory.ts'
import type { Acting } from '../engine/call.ts'
import { cardSpeed, type EngineNic, nicsOf } from '../engine/nics/nic.ts'
import type { VmStatus } from '../engine/vm-status.ts'
import { type Host, hasGuest, type Machine } from '../engine/world.ts'
import { namesIn, switchIn } from './card-params.ts'
import { aliasOf, runningVm } from './cards.ts'

const statuses: Readonly<Record<VmStatus, string>> = {
  down: 'Down',
  migrating: 'Migration Source',
  paused: 'Paused',
  powering_down: 'Powering down',
  powering_up: 'Powering up',
  unknown: 'Unknown',
  up: 'Up',
  wait_for_launch: 'WaitForLaunch',
}

/** `Host.getVMList`: the ids of the VMs that run, or with `fullStatus` what is in `getVMFullList`. */
export async function vmList(acting: Acting, params: JsonObject): Promise<readonly (string | JsonObject)[]> {
  if (switchIn(params, 'fullStatus')) return vmFullList(acting, params)
  return (await chosen(acting, params)).map(({ vm }) => vm.metadata.uid)
}

/** `Host.getVMFullList`: the VMs that run, with their cards. */
export async function vmFullList(acting: Acting, params: JsonObject): Promise<readonly JsonObject[]> {
  const machines = await chosen(acting, params)
  const profiles = await acting.world.profiles()
  return machines.map((machine) => {
    const cards = nicsOf(machine, profiles).filter(({ plugged }) => plugged)
    const { spec } = machine.vm
    return {
      ...statusOf(machine),
      vmType: 'kvm',
      memSize: Math.round((memoryOf(spec.template.spec).bytes ?? 0) / 1024 ** 2),
      devices: cards.map((nic) => deviceOf(nic, machine)),
    }
  })
}

async function chosen({ world }: Acting, params: JsonObject): Promise<readonly Machine[]> {
  const ids = namesIn(params, 'vmList')?.map((id) => id.toLowerCase()) ?? []
  const running = (await world.machines()).filter(hasGuest)
  return ids.length ? running.filter(({ vm }) => ids.includes(vm.metadata.uid)) : running
}

/** `VM.getStats`. Of a card there is no more than vdsm's own report has of its link: nothing (facts/ovirt.md §4.6). */
export async function vmStats(acting: Acting, params: JsonObject): Promise<readonly JsonObject[]> {
  const machine = await runningVm(acting, params)
  const cards = nicsOf(machine, await acting.world.profiles()).filter(({ plugged }) => plugged)
  const network = Object.fromEntries(
    cards.map(({ interface: name, mac }) => [name, { name, macAddr: mac, speed: String(cardSpeed), state: 'unknown' }]),
  )
  return [{ ...statusOf(machine), network }]
}

/** `Host.getCapabilities`: what all nodes have together, and the networks that the user may list. */
export async function capabilities({ world }: Acting): Promise<JsonObject> {
  const [hosts, networks] = await Promise.all([world.hosts(), world.ownNetworks()])
  const names = networks.filter(({ key }) => key !== podNetwork).map(({ key }) => key)
  const sum = (of: (host: Host) => number) => hosts.reduce((total, host) => total + of(host), 0)
  return {
    software_version: version,
    vmTypes: ['kvm'],
    cpuCores: String(sum((host) => amountOf(host, 'cpu'))),
    memSize: String(Math.round(sum((host) => amountOf(host, 'memory')) / 1024 ** 2)),
    networks: Object.fromEntries(names.map((name) => [name, { iface: name, bridged: true }])),
    bridges: Object.fromEntries(names.map((name) => [name, {}])),
  }
}

function amountOf({ status }: Host, resource: string): number {
  return Number(parseQuantity(status?.capacity?.[resource] ?? 0)?.milli ?? 0n) / 1000
}

function statusOf({ vm, status }: Machine): JsonObject {
  return { vmId: vm.metadata.uid, vmName: vm.metadata.name, status: statuses[status] }
}

/** A card as vdsm lists it. `linkActive` is what the guest has, where its node has said so. */
function deviceOf(nic: EngineNic, { vm, vmi }: Machine): JsonObject {
  const seen = vmi?.status?.interfaces?.find(({ name }) => name === nic.interface)?.linkState
  return {
    type: 'interface',
    device: 'bridge',
    deviceId: nic.id,
    name: nic.interface,
    alias: aliasOf(nic),
    macAddr: nic.mac,
    nicModel: nic.type === 'virtio' ? 'pv' : nic.type,
    network: nic.profile?.network.name ?? '',
    portMirroring: sourcesIn(instanceMetadata(vm))?.get(nic.interface) ?? [],
    linkActive: seen ? seen === 'up' : nic.linked && nic.profile !== undefined,
  }
}
