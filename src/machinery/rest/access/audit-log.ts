type Options = Readonly<{
  /** Keeps a line; must not wait. */
  keep: (line: string) => void
  /** Refusals of one user (or address) between two flushes that get a line of their own. */
  maxRefusals: number
  now: () => number
}>

/** Users whose refusals are counted apart; those of all others share one count. */
const maxCounted = 1000
const othersKey = '(others)'

type Count = { lines: number; omitted: number }

/**
 * The audit log. Every write that was carried out has a line. Refusals have one each up to a rate, and a sum beyond it: else
 * requests that cost nothing would push everything else out of the log.
 */
export class AuditLog {
  readonly #options: Options
  readonly #counts = new Map<string, Count>()

  constructor(options: Options) {
    this.#options = options
  }

  write(line: string): void {
    this.#options.keep(line)
  }

  writeRefusal(who: string, line: string): void {
    const count = this.#countOf(who)
    if (count.lines < this.#options.maxRefusals) {
      count.lines++
      this.#options.keep(line)
    } else count.omitted++
  }

  /** Writes down how many refusals had no line of their own, and begins to count again. */
  flush(): void {
    for (const [who, { omitted }] of this.#counts) this.#sum(who, omitted)
    this.#counts.clear()
  }

  #countOf(who: string): Count {
    const key = this.#counts.has(who) || this.#counts.size < maxCounted ? who : othersKey
    const count = this.#counts.get(key) ?? { lines: 0, omitted: 0 }
    this.#counts.set(key, count)
    return count
  }

  #sum(who: string, omitted: number): void {
    if (!omitted) return
    const time = new Date(this.#options.now()).toISOString()
    this.#options.keep(JSON.stringify({ time, user: who, verb: '(refused)', omitted }))
  }
}
