/** The value below which a share `p` (0..1) of the samples lies. */
export function percentile(samples: readonly number[], p: number): number {
  const sorted = samples.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(p * sorted.length))] ?? Number.NaN
}

/** One line of the report: both sides from the same run, and their ratio. */
export type Figure = Readonly<{
  what: string
  ours: number
  theirs: number
  unit: string
  /** What the ratio is promised to be at most, or at least where more is better. */
  promise?: number
  isRate?: boolean
}>

/** Prints a figure; whether the promise holds is said, never enforced: times vary between machines. */
export function show({ what, ours, theirs, unit, promise, isRate = false }: Figure): void {
  const ratio = ours / theirs
  const holds = promise === undefined || (isRate ? ratio >= promise : ratio <= promise)
  const promised =
    promise === undefined ? '' : ` (promised ${isRate ? '≥' : '≤'} ${promise}) ${holds ? 'holds' : 'DOES NOT HOLD'}`
  line(
    what,
    `ours ${ours.toFixed(1)} ${unit}, theirs ${theirs.toFixed(1)} ${unit}, ratio ${ratio.toFixed(2)}${promised}`,
  )
}

/** Prints a line of the report. */
export function line(what: string, figures: string): void {
  console.log(`${what.padEnd(62)} ${figures}`)
}
