import { Fault } from '#base/fault.ts'

const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/** Longest accepted duration: timers end soon after. */
const maxMs = 24 * 3_600_000

/** A duration as Go and kubectl write them (`500ms`, `2s`, `1m30s`), in milliseconds. @throws Fault Invalid */
export function durationOf(option: string, text: string): number {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)]
  const ms = parts.reduce((sum, [, count, unit]) => sum + Number(count) * units[unit!]!, 0)
  const isWhole = parts.map(([part]) => part).join('') === text
  if (isWhole && ms > 0 && ms <= maxMs) return ms
  throw new Fault('Invalid', `${option} ${text} is no duration above 0 and up to 24h; write it like 500ms, 2s or 1m30s`)
}

/** A duration for people: `3 ms`, `2.5 s`. */
export function durationText(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${Number((ms / 1000).toFixed(1))} s`
}
