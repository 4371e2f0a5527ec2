/**
 * What moving a card to another network is made of. Every method is idempotent: done twice is done once.
 *
 *   attach new ── lower ── join new ── commit ── raise ── announce
 *                   │         │          │
 *                   └─────────┴──────────┴─▶ back: join old, raise
 *
 * What is written down decides, after a move as after a crash in it: until `commit` the card belongs to the old network, from
 * then on to the new one. Whoever looks next joins the card to the network it belongs to, raises its link if that was lowered,
 * and gives back every network in the sandbox that no card belongs to. So a network that was left is given back in one way
 * only, and a plugin that fails to delete it neither fails nor delays the move.
 */
export interface RewireSteps {
  /** Puts the new network beside the old one; the guest is not on it yet. Undoes itself when it fails. */
  attach(): Promise<void>
  /** Pulls the guest's cable, having written down that it is to be put back. */
  lower(): Promise<void>
  /** Has the card leave the other network and join this one; it is never on both. */
  join(side: Side): Promise<void>
  /** Writes down that the card belongs to the new network. */
  commit(): Promise<void>
  raise(): Promise<void>
  /** Tells the network whose the card's address is. Its failing is no fault: the guest will tell in time. */
  announce(): Promise<void>
}

type Side = 'old' | 'new'

/** The same under the name that drivers/host imports. */
export type Mover = RewireSteps

/** What becomes of the guest's cable: whether it is pulled while the card moves, and whether it is put in afterwards. */
export type Cable = Readonly<{ isTakenDown: boolean; isRestored: boolean; isAnnounced: boolean }>

/**
 * What to do about a cable whose link is `now` and is to be `wanted` after the move. A link that is up and to be up is taken
 * down meanwhile if its guest is to notice (`bounce`), and ask for an address again; one that is to be down is never raised.
 */
export function cableOf(now: Link, wanted: Link, bounce: boolean): Cable {
  const isAnnounced = wanted === 'up'
  const isTakenDown = isAnnounced && now === 'up' && bounce
  return { isTakenDown, isRestored: isTakenDown || (isAnnounced && now === 'down'), isAnnounced }
}

/** Nothing is done about a cable that is not there: the guest has no such card. */
export const noCable: Cable = { isTakenDown: false, isRestored: false, isAnnounced: false }

type Link = 'up' | 'down'

/**
 * Moves a card; what it leaves is given back by the next look. The new network is there before anything of the guest is touched, so that one that cannot be had costs the
 * guest nothing, however often it is tried, and the time without any network is that of a few local commands.
 * @throws what made it fail; the card is on the old network then, or the next look at what is written down puts it there
 */
export async function rewire(steps: RewireSteps, { isTakenDown, isRestored, isAnnounced }: Cable): Promise<void> {
  await steps.attach()
  try {
    if (isTakenDown) await steps.lower()
    await steps.join('new')
    await steps.commit()
  } catch (cause) {
    // The fault to tell is the first one; what cannot be undone now is written down, and undone by whoever looks next.
    await steps.join('old').catch(() => undefined)
    if (isTakenDown) await steps.raise().catch(() => undefined)
    throw cause
  }
  if (isRestored) await steps.raise()
  if (isAnnounced) await steps.announce()
}

/** On a VM or a NetworkAttachmentDefinition: `false` moves cards without pulling their cable, so their guests notice nothing. */
const bounceAnnotation = 'patchbay.dev/rewire-bounce'

/** Whether the cable is pulled while a card moves, by the annotations of whoever has a say. */
export function wantsBounce(...all: readonly (Readonly<Record<string, string>> | undefined)[]): boolean {
  return all.every((annotations) => annotations?.[bounceAnnotation] !== 'false')
}
