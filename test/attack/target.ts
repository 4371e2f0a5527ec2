import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { issue, type KeyPair } from '#machinery/rest/certificates.ts'
import { Api } from '../component/api.ts'

type Hello = Readonly<{ port: number; authority: KeyPair; keys: Readonly<{ ca: string; cert: string; key: string }> }>

/** A server in another process, with a simulated host. */
export class Target {
  readonly #child: ChildProcess
  readonly #hello: Hello
  readonly api: Api

  private constructor(child: ChildProcess, hello: Hello) {
    this.#child = child
    this.#hello = hello
    this.api = new Api(hello.port, hello.authority.cert, hello.keys)
  }

  static async start(): Promise<Target> {
    const child = fork(fileURLToPath(new URL('server.ts', import.meta.url)), {
      // As the launcher `patchbay` starts it.
      env: { ...process.env, MALLOC_ARENA_MAX: '2', MALLOC_TRIM_THRESHOLD_: '131072' },
      execArgv: ['--max-semi-space-size=4', '--disable-warning=ExperimentalWarning'],
    })
    const [hello] = await once(child, 'message')
    return new Target(child, hello)
  }

  get port(): number {
    return this.#hello.port
  }

  get ca(): string {
    return this.#hello.authority.cert
  }

  keysOf(name: string, groups: readonly string[] = []): Promise<KeyPair> {
    return issue(this.#hello.authority, { use: 'client', name, groups })
  }

  /** Memory of the server's process once all garbage is collected, MB. */
  rssMb(): Promise<number> {
    return this.#ask('rss')
  }

  /** Its memory now, MB. */
  async nowMb(): Promise<number> {
    const text = await readFile(`/proc/${this.#child.pid}/smaps_rollup`, 'utf8')
    return Number(/^Pss: +(\d+) kB$/m.exec(text)?.[1]) / 1024
  }

  /** Errors it logged, and those that nothing caught. */
  errors(): Promise<readonly string[]> {
    return this.#ask('errors')
  }

  async stop(): Promise<void> {
    this.api.close()
    if (this.#child.exitCode === null) await this.#ask('stop')
  }

  async #ask<T>(question: string): Promise<T> {
    const over = new AbortController()
    const answer = once(this.#child, 'message', { signal: over.signal })
    const death = once(this.#child, 'exit', { signal: over.signal }).then(([code]) => {
      throw new Error(`the server ended with ${code}`)
    })
    this.#child.send(question)
    try {
      const [value] = await Promise.race([answer, death])
      return value as T
    } finally {
      // Whichever has not come is not waited for.
      for (const one of [answer, death]) one.catch(() => undefined)
      over.abort()
    }
  }
}
