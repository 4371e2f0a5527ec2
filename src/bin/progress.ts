/** Where progress is shown. */
export type ProgressOutput = Readonly<{ isTTY?: boolean; write(text: string): unknown }>

/** How often a line on a terminal is written again, milliseconds. */
const everyMs = 100
/** Steps of lines elsewhere, percent; and bytes while the whole is unknown. */
const stepPercent = 10
const stepBytes = 256 * 2 ** 20
const barWidth = 24

/** Shows how far a download is: one line that changes on a terminal, a line now and then elsewhere. */
export class Progress {
  readonly #output: ProgressOutput
  readonly #now: () => number
  #began: Readonly<{ at: number; done: number }> | undefined
  #shownAt = Number.NEGATIVE_INFINITY
  #step = 0
  #width = 0

  constructor(output: ProgressOutput, now: () => number = () => performance.now()) {
    this.#output = output
    this.#now = now
  }

  readonly show = (done: number, total: number | undefined): void => {
    const now = this.#now()
    // What was there before is not what this download's rate is about.
    if (this.#began === undefined || done < this.#began.done) this.#began = { at: now, done }
    const seconds = (now - this.#began.at) / 1000
    const rate = seconds > 0 ? (done - this.#began.done) / seconds : 0
    if (this.#output.isTTY) this.#redraw(now, done, total, rate)
    else this.#note(done, total, rate)
  }

  #redraw(now: number, done: number, total: number | undefined, rate: number): void {
    if (now - this.#shownAt < everyMs && done !== total) return
    this.#shownAt = now
    const filled = total ? Math.round((done / total) * barWidth) : 0
    const bar = total ? `[${'#'.repeat(filled)}${'.'.repeat(barWidth - filled)}] ` : ''
    const line = `${bar}${amountText(done, total)}, ${bytesText(rate)}/s`
    this.#output.write(`\r${line.padEnd(this.#width)}`)
    this.#width = line.length
  }

  #note(done: number, total: number | undefined, rate: number): void {
    const step = total ? Math.floor((100 * done) / total / stepPercent) : Math.floor(done / stepBytes)
    if (step <= this.#step) return
    this.#step = step
    this.#output.write(`${amountText(done, total)}, ${bytesText(rate)}/s\n`)
  }

  /** Ends the line. */
  end(): void {
    if (this.#width > 0) this.#output.write('\n')
    this.#width = 0
  }
}

function amountText(done: number, total: number | undefined): string {
  if (!total) return bytesText(done)
  return `${bytesText(done)} of ${bytesText(total)}, ${Math.floor((100 * done) / total)} %`
}

const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

/** An amount for humans: `85.3 MiB`. */
export function bytesText(bytes: number): string {
  const power = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log2(Math.max(1, bytes)) / 10)))
  const value = bytes / 1024 ** power
  return `${power === 0 || value >= 100 ? Math.round(value) : Number(value.toFixed(1))} ${units[power]}`
}
