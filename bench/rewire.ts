import { eventually } from '#base/wait.ts'
import { nad, vm } from '../tools/stage/manifests.ts'
import type { Stage } from '../tools/stage/stage.ts'
import { HandCard, OurCard, patchVm } from './card.ts'
import { Knocker } from './knocker.ts'
import { atRest, Live } from './live.ts'
import { tell } from './plug.ts'
import { addressLine, joinBridge } from './subnets.ts'

/** Moves on each side; the two alternate, each on a VM of its own, for a guest answers for all its cards on any of them. */
const rounds = 16

const networks = ['blue', 'green'] as const

/** Addresses of each side's card on each network. */
const subnets = {
  card: { blue: '192.168.91', green: '192.168.92' },
  hand: { blue: '192.168.93', green: '192.168.94' },
} as const

/**
 * Rewiring: first byte of the PATCH, or start of the shell, until the guest answers on the new network. Both sides pull the
 * cable for the move and announce the guest afterwards.
 */
export async function benchRewire(stage: Stage): Promise<void> {
  await stage.apply(nad('green'), vm('y', { graceSeconds: 0 }))
  await stage.waitFor('y', 'AgentConnected')
  using live = await Live.open(stage, 'x')
  using behind = await Live.open(stage, 'y')
  const card = new OurCard(stage, 'x')
  const hand = await HandCard.on(stage, 'y', behind)
  // Green comes first, so that both bridges are there when the guest is on blue and we join them.
  await card.plug('green')
  await live.untilGuestHas(card.mac, performance.now())
  await hand.plug('br-blue')
  await behind.untilGuestHas(hand.mac, performance.now())
  for (const [name, one] of [
    ['x', card],
    ['y', hand],
  ] as const) {
    for (const network of networks) await joinBridge(`br-${network}`, subnets[one.name][network], one.mac)
    await stage.guest(name, addressLine(one.mac, Object.values(subnets[one.name])))
  }
  const index = 2
  const rewire = (network: string) =>
    patchVm(stage, 'x', [
      { op: 'replace', path: `/spec/template/spec/networks/${index}/multus/networkName`, value: network },
    ])
  const ours: number[] = []
  const theirs: number[] = []
  // The first two only bring everything to where it is in the middle of the others.
  for (let i = -2; i < rounds; i++) {
    // Ours is one network behind, so that neither profits from what the other has just made.
    const [now, next] = i % 2 === 0 ? (['blue', 'green'] as const) : (['green', 'blue'] as const)
    const mine = await move(subnets.card[now], () => rewire(now))
    await eventually('the move is over', () => isOver(stage, now), { deadlineMs: 60_000, everyMs: 20 })
    const other = await move(subnets.hand[next], () => hand.rewire(`br-${now}`, `br-${next}`))
    if (i < 0) continue
    ours.push(mine)
    theirs.push(other)
  }
  tell('rewire in place, answered on the new network', ours, theirs)
}

/** Milliseconds from the start of a move until the guest answers at its address there. */
async function move(subnet: string, work: () => Promise<unknown>): Promise<number> {
  await atRest()
  using knocker = new Knocker(`${subnet}.1`, 5)
  const start = performance.now()
  const moved = work()
  const took = await knocker.firstAfter(start)
  await moved
  return took
}

/** The pod says where its cards are when a move is over, what was left behind included. */
async function isOver(stage: Stage, network: string): Promise<boolean> {
  const { annotations } = (await stage.pod('x')).metadata
  const list = JSON.parse(annotations['k8s.v1.cni.cncf.io/network-status']) as { name: string }[]
  return list.at(-1)?.name === `default/${network}`
}
