/** The value below which a share `p` (0..1) of the samples lies. */
export function percentile(samples: readonly number[], p: number): number {
  const sorted = samples.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(p * sorted.length))] ?? Number.NaN
}

/** One line of the report: both sides from the same run, and their ratio, which is promised to be at most or at least so much. */
export type Figure = Readonly<{ what: string; ours: number; theirs: number; unit: string }> &
  Readonly<{ promise?: number; promisedAtLeast?: number; other?: string }>

/** Prints a figure; whether the promise holds is said, never enforced: times vary between machines. */
export function show({ what, ours, theirs, unit, promise, promisedAtLeast, other = 'by hand' }: Figure): void {
  const ratio = ours / theirs
  const sides = `ours ${ours.toFixed(1)} ${unit}, ${other} ${theirs.toFixed(1)} ${unit}, ratio ${ratio.toFixed(2)}`
  note(what, `${sides}${verdict(ratio, '≤', promise)}${verdict(-ratio, '≥', promisedAtLeast, -1)}`)
}

/** Prints one side alone, and what is promised of it if anything. */
export function showAlone(what: string, value: number, unit: string, promise?: number): void {
  note(what, `${value.toFixed(1)} ${unit}${verdict(value, '≤', promise)}`)
}

/** Prints a line of the report. */
export function note(what: string, text: string): void {
  console.log(`${what.padEnd(58)} ${text}`)
}

function verdict(value: number, sign: string, promise: number | undefined, factor = 1): string {
  if (promise === undefined) return ''
  return ` (promised ${sign} ${promise}) ${value <= factor * promise ? 'holds' : 'DOES NOT HOLD'}`
}
