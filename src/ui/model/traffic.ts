import { isObject } from '#base/json.ts'

/** Counters of a card as its guest sees them. */
type Counters = Readonly<{
  name: string
  rxBytes: number
  txBytes: number
  /** Errors and drops in both directions. */
  troubles: number
}>

/** Counters at a moment, milliseconds. */
export type Sample = Readonly<{ atMs: number; cards: readonly Counters[] }>

/** Reads the answer of the server; undefined for one that is something else. */
export function sampleOf(answer: unknown): Sample | undefined {
  if (!isObject(answer) || !Array.isArray(answer.interfaces)) return undefined
  const number = (value: unknown) => (typeof value === 'number' ? value : 0)
  const cards = answer.interfaces.filter(isObject).map(
    (one): Counters => ({
      name: String(one.name ?? ''),
      rxBytes: number(one.rxBytes),
      txBytes: number(one.txBytes),
      troubles: number(one.rxErrors) + number(one.txErrors) + number(one.rxDropped) + number(one.txDropped),
    }),
  )
  return { atMs: Date.parse(String(answer.observedAt)), cards }
}

/** Times in seconds, and rates of a card between samples in kilobytes per second; counters that began again count from 0. */
export function ratesOf(samples: readonly Sample[], name: string): readonly [number[], number[], number[]] {
  const times: number[] = []
  const received: number[] = []
  const sent: number[] = []
  for (const [index, now] of samples.entries()) {
    const before = samples[index - 1]
    const card = now.cards.find((one) => one.name === name)
    const last = before?.cards.find((one) => one.name === name)
    if (!before || !card || !last || now.atMs <= before.atMs) continue
    const perSecond = (to: number, from: number) => (to >= from ? to - from : to) / (now.atMs - before.atMs)
    times.push(now.atMs / 1000)
    received.push(perSecond(card.rxBytes, last.rxBytes))
    sent.push(perSecond(card.txBytes, last.txBytes))
  }
  return [times, received, sent]
}
