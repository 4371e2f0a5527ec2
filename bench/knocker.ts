import { connect, type Socket } from 'node:net'

/** A port nobody listens on: who is told so has reached the guest. */
const port = 9

/** How long an answer is waited for, milliseconds: less than until TCP asks a second time by itself. */
const patienceMs = 900

/** Knocks at an address all the time and notes when it answers, so that every moment of silence is seen. */
export class Knocker implements Disposable {
  readonly answers: number[] = []
  readonly #address: string
  readonly #timer: NodeJS.Timeout
  readonly #open = new Set<Socket>()
  readonly #waiting = new Set<() => void>()

  constructor(address: string, everyMs: number) {
    this.#address = address
    this.#timer = setInterval(() => this.#knock(), everyMs)
  }

  /** Milliseconds from `start` until the first answer. */
  async firstAfter(start: number): Promise<number> {
    const find = () => this.answers.find((one) => one > start)
    for (const began = performance.now(); ; ) {
      const found = find()
      if (found !== undefined) return found - start
      if (performance.now() - began > 60_000) throw new Error(`${this.#address} does not answer within a minute`)
      await new Promise<void>((resolve) => this.#waiting.add(resolve))
    }
  }

  /** The longest silence between two answers from `start` on, milliseconds. */
  longestSilence(start: number): number {
    const answers = this.answers.filter((one) => one > start)
    return Math.max(...answers.map((one, i) => one - (answers[i - 1] ?? one)))
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
    for (const socket of this.#open) socket.destroy()
  }

  #knock(): void {
    const socket = connect({ host: this.#address, port })
    this.#open.add(socket)
    const end = () => {
      this.#open.delete(socket)
      socket.destroy()
      for (const wake of this.#waiting) wake()
      this.#waiting.clear()
    }
    const timer = setTimeout(end, patienceMs)
    socket.on('error', (error: NodeJS.ErrnoException) => {
      clearTimeout(timer)
      if (error.code === 'ECONNREFUSED') this.answers.push(performance.now())
      end()
    })
  }
}
