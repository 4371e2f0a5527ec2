import { explain } from '#base/fault.ts'
import { sameJson } from '#base/json.ts'
import type { Log } from '#base/log.ts'
import { bindings } from '#core/nic/bindings.ts'
import { movedLinkName } from '#core/nic/names.ts'
import type { RewireSteps } from '#core/nic/rewire.ts'
import type { Attachment } from '#core/sandbox/plan.ts'
import type { LibvirtHypervisor } from '../libvirt/hypervisor.ts'
import { withoutConfig } from './records.ts'
import type { LivePlace, SandboxNetwork } from './sandbox-network.ts'

/** Timeout of the local steps of a rewire together, milliseconds; they take a few hundred. */
const localMs = 20_000

/** The attachments in a sandbox's record, and the links (`lowered`) that a rewire took down and has to restore. */
export type Wiring = Readonly<{ attachments: readonly Attachment[]; lowered?: readonly string[] }>

type RewireOptions = Readonly<{
  place: LivePlace
  network: SandboxNetwork
  hypervisor: LibvirtHypervisor
  from: Attachment
  /** As wanted; its links get other names, see rewiredAttachment. */
  to: Attachment
  /** Changes the record on disk. */
  write: (change: (wiring: Wiring) => Wiring) => Promise<void>
  log: Log
  /** Aborts the wait for the new network. Later steps are finished or undone. */
  signal: AbortSignal
}>

/**
 * The wanted attachments with the networks they are on: one that is attached already keeps its network, and the name that CNI has
 * for it, until it is rewired. The configuration of the wanted network does not apply to the one it is on.
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
    // Nothing is known of the cards of a network whose definition is gone.
    if (now.network === one.network) return one.problem === undefined ? kept : asItWas
    const { config: _c, problem: _p, ...bare } = asItWas
    return bare
  })
}

/**
 * The attachments of a migration's target with the addresses that the guest has at its source: IPAM may give the target others,
 * which the guest gets with its next DHCP request. Addresses that it carried to the source are carried on. `addressesIn` returns
 * what CNI gave at the source.
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

/** The attachment that a card is rewired to, with the name that CNI gets for it. */
export function rewiredAttachment(to: Attachment): Attachment {
  return { ...to, links: { ...to.links, pod: movedLinkName(to.name, to.network) } }
}

/**
 * Rewires on this host. CNI adds the new network under a name of its own while the old one is still attached, and later deletes
 * the old one by the name it was added with. To delete first, and to add again when the new network fails, would need one name
 * less; but the guest would lose its network and its address with every failed attempt, for good if the pool is empty by then.
 */
export function hostRewireSteps({
  place,
  network,
  hypervisor,
  from,
  to,
  write,
  log,
  signal,
}: RewireOptions): RewireSteps {
  // To stop Patchbay between two of these steps would only leave work for the next start.
  const local = AbortSignal.timeout(localMs)
  const { name } = to
  const sides = { old: from, new: to }
  const card = (link: 'up' | 'down') => hypervisor.cards.setLink(name, link, local)
  return {
    attach: () => network.attachBeside(place, to, signal),
    takeLinkDown: async () => {
      await write((wiring) => ({ ...wiring, lowered: [...(wiring.lowered ?? []), name] }))
      await card('down')
    },
    join: (side) => network.join(place, sides[side === 'new' ? 'old' : 'new'], sides[side], local),
    commit: () =>
      write((wiring) => ({
        ...wiring,
        attachments: wiring.attachments.map((one) => (one.name === name ? to : one)),
      })),
    restoreLink: async () => {
      await card('up')
      await write((wiring) => withoutRestored(wiring, name))
    },
    announce: () => announce(hypervisor, name, log, local),
  }
}

/** Sets links up that an interrupted rewire had taken down, as far as the guest is there. */
export async function restoreLinks(
  hypervisor: LibvirtHypervisor,
  lowered: readonly string[],
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  const nics = (await hypervisor.domain.observe(signal))?.nics ?? []
  for (const { name } of nics.filter((nic) => lowered.includes(nic.name))) {
    log.info({ interface: name }, 'Restoring link that an interrupted rewire took down')
    await hypervisor.cards.setLink(name, 'up', signal)
    await announce(hypervisor, name, log, signal)
  }
}

function withoutRestored({ lowered = [], ...rest }: Wiring, name: string): Wiring {
  const left = lowered.filter((one) => one !== name)
  return left.length ? { ...rest, lowered: left } : rest
}

/** Switches learn the port of a MAC from frames: a guest that is silent would stay unreachable until it sends. */
async function announce(hypervisor: LibvirtHypervisor, name: string, log: Log, signal: AbortSignal): Promise<void> {
  await hypervisor.cards
    .announce(name, signal)
    .catch((error: unknown) => log.warn({ interface: name, cause: explain(error) }, 'Cannot announce interface'))
}

/** Whether all wanted attachments are present and equal. */
export function hasAll(present: readonly Attachment[], wanted: readonly Attachment[]): boolean {
  const byName = new Map(withoutConfig(present).map((one) => [one.name, one]))
  return withoutConfig(wanted).every((one) => sameJson(one, byName.get(one.name)))
}
