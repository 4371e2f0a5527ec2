/** The value below which a share `p` (0..1) of the samples lies. */
export function percentile(samples: readonly number[], p: number): number {
  const sorted = samples.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(p * sorted.length))] ?? Number.NaN
}

/** One line of the report: both sides from the same run, and their ratio. */
export type Figure = Readonly<{ what: string; ours: number; theirs: number; unit: string; promise: number }>

/** Prints a figure; whether the promise holds is said, never enforced: times vary between machines. */
export function show({ what, ours, theirs, unit, promise }: Figure): void {
  const ratio = ours / theirs
  console.log(
    `${what.padEnd(58)} ours ${ours.toFixed(1)} ${unit}, by hand ${theirs.toFixed(1)} ${unit}, ratio ${ratio.toFixed(2)} (promised ≤ ${promise}) ${ratio <= promise ? 'holds' : 'DOES NOT HOLD'}`,
  )
}
