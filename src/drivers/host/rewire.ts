import { explain } from '#base/fault.ts'
import { sameJson } from '#base/json.ts'
import type { Log } from '#base/log.ts'
import { bindings } from '#core/nic/bindings.ts'
import { movedLinkName } from '#core/nic/names.ts'
import type { Mover } from '#core/nic/rewire.ts'
import type { Attachment } from '#core/sandbox/plan.ts'
import type { LibvirtHypervisor } from '../libvirt/hypervisor.ts'
import { withoutConfig } from './records.ts'
import type { LivePlace, SandboxNetwork } from './sandbox-network.ts'

/** Most time the local steps of a move may take together, milliseconds; they take a few hundred. */
const localMs = 20_000

/** What a sandbox's record says of its attachments, and of links that a move took down and has to raise. */
export type Wiring = Readonly<{ attachments: readonly Attachment[]; lowered?: readonly string[] }>

type MoveOptions = Readonly<{
  place: LivePlace
  network: SandboxNetwork
  hypervisor: LibvirtHypervisor
  from: Attachment
  /** As wanted; see movedAttachment for what becomes of its names. */
  to: Attachment
  /** Changes the record on disk. */
  write: (change: (wiring: Wiring) => Wiring) => Promise<void>
  log: Log
  /** Ends the wait for the new network. What is begun after that is finished or taken back. */
  signal: AbortSignal
}>

/**
 * Attachments as they are where they are: one that is there already keeps its network and the name CNI knows it by, whatever
 * is wanted by now, until it is moved. The configuration of the wanted network says nothing about the one it is on.
 */
export function asAttached(wanted: readonly Attachment[], present: readonly Attachment[]): Attachment[] {
  const byName = new Map(present.map((one) => [one.name, one]))
  return wanted.map((one) => {
    const now = byName.get(one.name)
    if (!now) return one
    const { carried } = now
    const kept = {
      ...{ ...one, network: now.network, links: { ...one.links, pod: now.links.pod } },
      ...(carried && { carried }),
    }
    const { isOpen: _, ...closed } = kept
    const asItWas = now.isOpen ? { ...closed, isOpen: now.isOpen } : closed
    // A network whose definition is gone says nothing about its cards any more.
    if (now.network === one.network) return one.problem === undefined ? kept : asItWas
    const { config: _c, problem: _p, ...bare } = asItWas
    return bare
  })
}

/**
 * Attachments of a sandbox that a guest comes to, with the addresses it has in the one it comes from: IPAM may give its new place
 * others, of which it hears when it asks next. What it brought there it brings along. `addressesIn` finds what CNI gave there.
 */
export async function withCarried(
  attachments: readonly Attachment[],
  source: readonly Attachment[],
  addressesIn: (one: Attachment) => Promise<readonly string[]>,
): Promise<Attachment[]> {
  return Promise.all(
    attachments.map(async (one) => {
      const before = source.find(({ name, network }) => name === one.name && network === one.network)
      if (!before || !bindings[one.binding].isOnNetwork) return one
      const carried = [...new Set([...(before.carried ?? []), ...(await addressesIn(before))])]
      return carried.length ? { ...one, carried } : one
    }),
  )
}

/** An attachment to move to, under the name CNI is to know it by. */
export function movedAttachment(to: Attachment): Attachment {
  return { ...to, links: { ...to.links, pod: movedLinkName(to.name, to.network) } }
}

/**
 * Moves on this host. CNI adds the new network under a name of its own while the old one is still there, and later deletes
 * the old one by the name that one was added under. The other way round, deleting first and adding again when the new network
 * cannot be had, would need one name less, but a guest would lose its network and its address for every try that fails, and
 * for good if the pool has no other address by then.
 */
export function hostMover({ place, network, hypervisor, from, to, write, log, signal }: MoveOptions): Mover {
  // Stopping Patchbay between two of these steps would only make work for the next start.
  const local = AbortSignal.timeout(localMs)
  const { name } = to
  const sides = { old: from, new: to }
  const card = (link: 'up' | 'down') => hypervisor.cards.setLink(name, link, local)
  return {
    attach: () => network.attachBeside(place, to, signal),
    lower: async () => {
      await write((wiring) => ({ ...wiring, lowered: [...(wiring.lowered ?? []), name] }))
      await card('down')
    },
    join: (side) => network.join(place, sides[side === 'new' ? 'old' : 'new'], sides[side], local),
    commit: () =>
      write((wiring) => ({
        ...wiring,
        attachments: wiring.attachments.map((one) => (one.name === name ? to : one)),
      })),
    raise: async () => {
      await card('up')
      await write((wiring) => withoutLowered(wiring, name))
    },
    announce: () => announce(hypervisor, name, log, local),
  }
}

/** Raises links that a move which was cut short had taken down. One whose guest is gone needs nothing. */
export async function raiseLowered(
  hypervisor: LibvirtHypervisor,
  lowered: readonly string[],
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  const nics = (await hypervisor.domain.observe(signal))?.nics ?? []
  for (const { name } of nics.filter((nic) => lowered.includes(nic.name))) {
    log.info({ interface: name }, 'Raising link that an interrupted move took down')
    await hypervisor.cards.setLink(name, 'up', signal)
    await announce(hypervisor, name, log, signal)
  }
}

function withoutLowered({ lowered = [], ...rest }: Wiring, name: string): Wiring {
  const left = lowered.filter((one) => one !== name)
  return left.length ? { ...rest, lowered: left } : rest
}

/** Switches learn where a card is from what it sends; a quiet guest would stay unreachable until it sends something. */
async function announce(hypervisor: LibvirtHypervisor, name: string, log: Log, signal: AbortSignal): Promise<void> {
  await hypervisor.cards
    .announce(name, signal)
    .catch((error: unknown) => log.warn({ interface: name, cause: explain(error) }, 'Cannot announce interface'))
}

/** Whether all that is wanted is there as it is wanted. */
export function hasAll(present: readonly Attachment[], wanted: readonly Attachment[]): boolean {
  const byName = new Map(withoutConfig(present).map((one) => [one.name, one]))
  return withoutConfig(wanted).every((one) => sameJson(one, byName.get(one.name)))
}
