import type { Stage } from '../tools/stage/stage.ts'
import { HandCard, OurCard } from './card.ts'
import { note, percentile, show } from './figures.ts'
import { atRest, Live } from './live.ts'

/** Cards plugged and unplugged on each side; the two alternate on the same VM. */
const rounds = 20

/** How long each part took in each round, milliseconds. */
type Times = Record<'plugged' | 'inGuest' | 'gone', number[]>

/**
 * Plugging and unplugging: first byte of the PATCH from a warm keep-alive client, or start of the shell, until a second libvirt
 * connection sees the card in the live XML, or sees it no more; and until the guest's agent tells of it.
 */
export async function benchPlug(stage: Stage): Promise<void> {
  using live = await Live.open(stage, 'x')
  const card = new OurCard(stage, 'x')
  const hand = await HandCard.on(stage, 'x', live)
  const ours: Times = { plugged: [], inGuest: [], gone: [] }
  const theirs: Times = { plugged: [], inGuest: [], gone: [] }
  const round = async (
    into: Times,
    one: OurCard | HandCard,
    plug: () => Promise<unknown>,
    unplug: () => Promise<unknown>,
  ) => {
    const isThere = (xml: string) => xml.includes(`ua-${one.name}`)
    await atRest()
    let start = performance.now()
    let asked = plug()
    into.plugged.push(await live.until('the card comes', start, isThere))
    into.inGuest.push(await live.untilGuestHas(one.mac, start))
    await asked
    await atRest()
    start = performance.now()
    asked = unplug()
    into.gone.push(await live.until('the card goes', start, (xml) => !isThere(xml)))
    await asked
  }
  for (let i = 0; i < rounds; i++) {
    await round(
      ours,
      card,
      () => card.plug('blue'),
      () => card.unplug(),
    )
    await card.isGone()
    await round(
      theirs,
      hand,
      () => hand.plug('br-blue'),
      () => hand.unplug('br-blue'),
    )
    await hand.clean('br-blue')
  }
  tell('plug in place, seen in the live XML', ours.plugged, theirs.plugged, 1.5)
  tell('plug in place, told by the guest', ours.inGuest, theirs.inGuest)
  tell('unplug in place, gone from the live XML', ours.gone, theirs.gone)
}

/** Prints median and tail of both sides. */
export function tell(what: string, ours: readonly number[], theirs: readonly number[], promise?: number): void {
  const of = (p: number) => ({ ours: percentile(ours, p), theirs: percentile(theirs, p) })
  show({ what: `${what}, p50 of ${ours.length}`, ...of(0.5), unit: 'ms', ...(promise !== undefined && { promise }) })
  const tail = of(0.9)
  note('', `p90: ours ${tail.ours.toFixed(1)} ms, by hand ${tail.theirs.toFixed(1)} ms`)
}
