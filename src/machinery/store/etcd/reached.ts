import { Fault } from '#base/fault.ts'

/** Longest wait for the watch to bring what is known to be committed (kube-apiserver's limit for the same), milliseconds. */
const reachMs = 3000

/** How far the watch has come, and who waits for it to come further. */
export class Reached {
  #revision: number
  #waiting: { revision: number; resolve: () => void }[] = []

  constructor(revision: number) {
    this.#revision = revision
  }

  advance(revision: number): void {
    this.#revision = revision
    if (this.#waiting.length === 0) return
    const due = this.#waiting.filter((one) => one.revision <= revision)
    this.#waiting = this.#waiting.filter((one) => one.revision > revision)
    for (const { resolve } of due) resolve()
  }

  /** @throws Fault Timeout */
  async until(revision: number, withinMs = reachMs): Promise<void> {
    if (revision <= this.#revision) return
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const one = { revision, resolve }
    this.#waiting.push(one)
    const timer = setTimeout(() => {
      this.#waiting = this.#waiting.filter((other) => other !== one)
      reject(new Fault('Timeout', `The watch of etcd is behind revision ${revision} for more than ${withinMs} ms`))
    }, withinMs)
    await promise.finally(() => clearTimeout(timer))
  }
}
