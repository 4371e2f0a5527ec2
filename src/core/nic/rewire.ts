/**
 * The effects of a rewire, which moves a card to another network. Every method is idempotent.
 *
 *   attach new ── takeLinkDown ── join new ── commit ── restoreLink ── announce
 *                        │             │          │
 *                        └─────────────┴──────────┴─▶ back: join old, restoreLink
 *
 * The record of the sandbox decides, after a rewire as after a crash during it: until `commit` the card belongs to the old
 * network, from then on to the new one. The next `ensure` of the sandbox joins the card to the network it belongs to, restores
 * its link if that was taken down for the rewire, and releases every network that no card belongs to. So the old network is
 * released in one way only, and a plugin that fails to delete it neither fails nor delays the rewire.
 */
export interface RewireSteps {
  /** Attaches the new network beside the old one; the card is not on it yet. A failure is undone. */
  attach(): Promise<void>
  /** Takes the link down, after recording that it is to be restored. */
  takeLinkDown(): Promise<void>
  /** Takes the card off the other network and joins it to this one; it is never on both. */
  join(side: Side): Promise<void>
  /** Records that the card belongs to the new network. */
  commit(): Promise<void>
  /** Sets the link up, and records that nothing is to be restored. */
  restoreLink(): Promise<void>
  /** Announces the card's MAC on the network. A failure is ignored: switches learn the MAC when the guest sends. */
  announce(): Promise<void>
}

type Side = 'old' | 'new'

/**
 * What is done about the link: whether it is taken down during the rewire, whether it is set up afterwards, and whether the
 * card's MAC is announced.
 */
export type Cable = Readonly<{ isTakenDown: boolean; isRestored: boolean; isAnnounced: boolean }>

/**
 * Decides about a link that is `now` and is to be `wanted` after the rewire. A link that stays up is taken down meanwhile if the
 * guest is to notice (`bounce`), so that it requests an address again; a link that is to be down is never set up.
 */
export function cableOf(now: Link, wanted: Link, bounce: boolean): Cable {
  const isAnnounced = wanted === 'up'
  const isTakenDown = isAnnounced && now === 'up' && bounce
  return { isTakenDown, isRestored: isTakenDown || (isAnnounced && now === 'down'), isAnnounced }
}

/** For a guest without that card. */
export const noCable: Cable = { isTakenDown: false, isRestored: false, isAnnounced: false }

type Link = 'up' | 'down'

/**
 * Moves a card to another network; the next `ensure` releases the old one. The new network is attached before the guest is
 * touched, so that a network that cannot be attached does not affect the guest, however often it is tried, and the time without a
 * network is that of a few local commands.
 * @throws the cause of a failure; the card is on the old network then, or the next `ensure` puts it there
 */
export async function rewire(steps: RewireSteps, { isTakenDown, isRestored, isAnnounced }: Cable): Promise<void> {
  await steps.attach()
  try {
    if (isTakenDown) await steps.takeLinkDown()
    await steps.join('new')
    await steps.commit()
  } catch (cause) {
    // The first failure is reported; what cannot be undone now is recorded, and undone by the next `ensure`.
    await steps.join('old').catch(() => undefined)
    if (isTakenDown) await steps.restoreLink().catch(() => undefined)
    throw cause
  }
  if (isRestored) await steps.restoreLink()
  if (isAnnounced) await steps.announce()
}

/**
 * On a VM or a NetworkAttachmentDefinition: `false` rewires cards without taking their links down, so that guests notice nothing.
 */
const bounceAnnotation = 'patchbay.dev/rewire-bounce'

/** Whether the link is taken down during a rewire, by the annotations of the VM and the NAD. */
export function wantsBounce(...all: readonly (Readonly<Record<string, string>> | undefined)[]): boolean {
  return all.every((annotations) => annotations?.[bounceAnnotation] !== 'false')
}
