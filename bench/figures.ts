import { writeFileSync } from 'node:fs'

/** The value below which a share `p` (0..1) of the samples lies. */
export function percentile(samples: readonly number[], p: number): number {
  const sorted = samples.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(p * sorted.length))] ?? Number.NaN
}

/** One line of the report: both sides from the same run, and their ratio, which is promised to be at most or at least so much. */
export type Figure = Readonly<{ what: string; ours: number; theirs: number; unit: string }> &
  Readonly<{ promise?: number; promisedAtLeast?: number; other?: string }>

/** A figure as `--json` writes it. Without `theirs` and `ratio` it stands alone; without a promise it is only reported. */
type Entry = Readonly<{
  what: string
  unit: string
  ours: number
  theirs?: number
  ratio?: number
  promise?: Readonly<{ sign: '≤' | '≥'; value: number; holds: boolean }>
}>

const entries: Entry[] = []

/** Prints a figure, and whether its promise holds. */
export function show({ what, ours, theirs, unit, promise, promisedAtLeast, other = 'by hand' }: Figure): void {
  const ratio = ours / theirs
  const sides = `ours ${ours.toFixed(1)} ${unit}, ${other} ${theirs.toFixed(1)} ${unit}, ratio ${ratio.toFixed(2)}`
  const judged = judge(ratio, promise, promisedAtLeast)
  entries.push({ what, unit, ours, theirs, ratio, ...(judged && { promise: judged }) })
  note(what, `${sides}${words(judged)}`)
}

/** Prints one side alone, and what is promised of it if anything. */
export function showAlone(what: string, value: number, unit: string, promise?: number): void {
  const judged = judge(value, promise, undefined)
  entries.push({ what, unit, ours: value, ...(judged && { promise: judged }) })
  note(what, `${value.toFixed(1)} ${unit}${words(judged)}`)
}

/** Prints a line of the report that is no figure. */
export function note(what: string, text: string): void {
  console.log(`${what.padEnd(58)} ${text}`)
}

/** Prints the promises that did not hold and writes all figures to a file, if one is named. Resolves to their number. */
export function conclude(file: string | undefined): number {
  const broken = entries.filter(({ promise }) => promise && !promise.holds)
  const promised = entries.filter(({ promise }) => promise).length
  console.log(`\n${promised - broken.length} of ${promised} promises hold`)
  for (const { what, ours, ratio, unit, promise } of broken)
    console.log(
      `DOES NOT HOLD: ${what}: ${(ratio ?? ours).toFixed(2)}${ratio === undefined ? ` ${unit}` : ''}, promised ${promise?.sign} ${promise?.value}`,
    )
  if (file !== undefined) writeFileSync(file, `${JSON.stringify({ figures: entries }, undefined, 2)}\n`)
  return broken.length
}

function judge(value: number, atMost: number | undefined, atLeast: number | undefined): Entry['promise'] {
  if (atMost !== undefined) return { sign: '≤', value: atMost, holds: value <= atMost }
  if (atLeast !== undefined) return { sign: '≥', value: atLeast, holds: value >= atLeast }
  return undefined
}

function words(judged: Entry['promise']): string {
  return judged ? ` (promised ${judged.sign} ${judged.value}) ${judged.holds ? 'holds' : 'DOES NOT HOLD'}` : ''
}
