import { eventually } from '../../src/base/wait.ts'
import { path } from '../stage/api.ts'
import { nad } from '../stage/manifests.ts'
import { patienceMs, type Stage } from '../stage/stage.ts'
import { macsOf } from '../stage/views.ts'
import type { Times } from './teller.ts'

/** Networks that have addresses to give, by their first three numbers. */
const subnets = { red: '192.168.81', green: '192.168.82' } as const
type Side = keyof typeof subnets

/** The definition of such a network. */
export function lan(name: Side) {
  const ipam = { type: 'host-local', subnet: `${subnets[name]}.0/24` }
  return nad(name, { cniVersion: '0.4.0', name, type: 'bridge', bridge: `br-${name}`, ipam })
}

/** What everybody says about the network a card is on, and milliseconds from `start` until they said so. */
type Placed = Readonly<{ views: Readonly<Record<string, string>>; ms: Times }>

// biome-ignore lint/suspicious/noExplicitAny: objects of the API, looked into as they come
type Any = any

/**
 * Waits until everybody says that a card of x is on a network with its link up: the API, virsh, the guest, which has an
 * address there, and the peer y, whose card there reaches it and whose card on the other network does not.
 */
export async function placed(stage: Stage, nic: string, side: Side, start: number): Promise<Placed> {
  const mac = (await macsOf(stage, 'x')).get(nic) ?? ''
  const timed = async (who: string, look: () => Promise<string | undefined>) => {
    const said = await eventually(`${who} says that ${nic} of x is on ${side}`, look, {
      deadlineMs: patienceMs,
      everyMs: 20,
    })
    return [who, said, performance.now() - start] as const
  }
  const told = await Promise.all([
    timed('API', () => apiSays(stage, nic, side)),
    timed('virsh', () => virshSays(stage, mac)),
    timed('guest', () => guestSays(stage, mac, side)),
    timed('peer', () => peerSays(stage, mac, side)),
  ])
  const other = side === 'red' ? 'green' : 'red'
  const address = await addressOf(stage, mac, side)
  if (!address || (await reaches(stage, other, address))) throw new Error(`${nic} of x is reached over ${other}, too`)
  return {
    views: { ...Object.fromEntries(told.map(([who, text]) => [who, text])), and: `not over ${other}` },
    ms: Object.fromEntries(told.map(([who, , ms]) => [who, ms])),
  }
}

async function apiSays(stage: Stage, nic: string, side: Side): Promise<string | undefined> {
  const [{ body: vmi }, pod] = await Promise.all([stage.api.call('GET', path.vmi('x')), stage.pod('x')])
  const status = vmi.status.interfaces.find((one: Any) => one.name === nic)
  const networks = JSON.parse(pod.metadata.annotations['k8s.v1.cni.cncf.io/network-status'] ?? '[]')
  const network = networks.find((one: Any) => one.interface === status?.podInterfaceName)?.name
  const isThere = network === `default/${side}` && status.linkState === 'up'
  return isThere && status.ipAddress?.startsWith(`${subnets[side]}.`)
    ? `on ${network}, link ${status.linkState}, ${status.ipAddress}`
    : undefined
}

/** libvirt knows a card, its tap and its link; the network behind the tap is none of its business. */
async function virshSays(stage: Stage, mac: string): Promise<string | undefined> {
  const list = await stage.virsh('x', 'domiflist', 'default_x')
  const [tap = ''] =
    list
      .split('\n')
      .find((line) => line.includes(mac))
      ?.trim()
      .split(/\s+/) ?? []
  const link = (await stage.virsh('x', 'domif-getlink', 'default_x', tap)).split(/\s+/).at(-1)
  return link === 'up' ? `${tap} ${mac}, link ${link}` : undefined
}

async function guestSays(stage: Stage, mac: string, side: Side): Promise<string | undefined> {
  const address = await addressOf(stage, mac, side)
  return address && `${await deviceOf(stage, 'x', mac)} ${mac}, ${address}`
}

async function peerSays(stage: Stage, mac: string, side: Side): Promise<string | undefined> {
  const address = await addressOf(stage, mac, side)
  return address && (await reaches(stage, side, address)) ? `y reaches ${address} over ${side}` : undefined
}

/** Whether y gets an answer over its card on a network, and over that one only. */
async function reaches(stage: Stage, over: Side, address: string): Promise<boolean> {
  const mac = (await macsOf(stage, 'y')).get(over) ?? ''
  const device = await deviceOf(stage, 'y', mac)
  return (await stage.guest('y', `ping -c 1 -W 1 -I ${device} ${address} >/dev/null && echo yes || echo no`)) === 'yes'
}

/** The address a guest's own kernel has on a card in a network. */
async function addressOf(stage: Stage, mac: string, side: Side): Promise<string | undefined> {
  const text = await stage.guest('x', `ip -4 -o addr show ${await deviceOf(stage, 'x', mac)}`)
  return text
    .match(/inet ([0-9.]+)/g)
    ?.map((one) => one.slice(5))
    .find((one) => one.startsWith(`${subnets[side]}.`))
}

/** What a guest calls its card. */
export async function deviceOf(stage: Stage, vm: string, mac: string): Promise<string> {
  const device = await stage.guest(vm, `cd /sys/class/net; grep -l ${mac} e*/address | cut -d/ -f1`)
  if (!device) throw new Error(`the guest of ${vm} has no card ${mac}`)
  return device
}
