import { type FileHandle, open } from 'node:fs/promises'
import { delay, eventually } from '../../src/base/wait.ts'
import { path } from './api.ts'
import { patienceMs, type Stage } from './stage.ts'

// biome-ignore lint/suspicious/noExplicitAny: objects of the API, looked into as they come
type Any = any

/** The manifest of a migration. */
export function migration(vm: string, name: string, annotations?: Readonly<Record<string, string>>) {
  return {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachineInstanceMigration',
    metadata: { name, namespace: 'default', ...(annotations && { annotations }) },
    spec: { vmiName: vm },
  }
}

/** Waits until a migration is over, whichever way, and resolves to it. */
export function migrationOver(stage: Stage, name: string): Promise<Any> {
  return eventually(
    `migration ${name} is over`,
    async () => {
      const { body } = await stage.api.call('GET', path.vmim(name))
      if (body.status?.phase === 'Succeeded' || body.status?.phase === 'Failed') return body
      throw new Error(`it is ${body.status?.phase}`)
    },
    { deadlineMs: patienceMs, everyMs: 20 },
  )
}

/** How often new sandboxes are looked for, milliseconds. */
const everyMs = 10

/**
 * A guest that counts, in its own memory, and says each number on its serial console, of which every sandbox has one of its
 * own. Two copies that ran at the same time would both have said a number; a guest that lost some would begin again.
 */
export class CountingGuest implements AsyncDisposable {
  readonly #stage: Stage
  readonly #vm: string
  readonly #consoles = new Map<string, FileHandle>()
  readonly #stop = new AbortController()
  /** Numbers that could not be written down. */
  readonly #unheard: { from: number; to: number }[] = []
  #watching: Promise<void> | undefined

  private constructor(stage: Stage, vm: string) {
    this.#stage = stage
    this.#vm = vm
  }

  static async start(stage: Stage, vm: string): Promise<CountingGuest> {
    const one = new CountingGuest(stage, vm)
    await one.#openConsoles()
    one.#watching = one.#watch()
    const loop =
      'i=0; while :; do i=$((i+1)); echo "count $i." > /dev/ttyS0; usleep 20000 2> /dev/null || sleep 0.02; done'
    await stage.guest(vm, `(${loop}) > /dev/null 2>&1 & echo started`)
    await eventually('the guest counts', async () => (await one.numbers()).flat().length > 3, {
      deadlineMs: patienceMs,
    })
    return one
  }

  /** What was said, in each sandbox, in the order in which they came. */
  async numbers(): Promise<number[][]> {
    const texts = await Promise.all([...this.#consoles.values()].map(textOf))
    return texts.map((text) => [...text.matchAll(/count (\d+)\./g)].map(([, number]) => Number(number)))
  }

  /** Waits until it has gone on counting from now on. */
  async goesOn(): Promise<void> {
    const latest = async () => Math.max(0, ...(await this.numbers()).flat())
    const before = await latest()
    await eventually('the guest goes on counting', async () => (await latest()) > before + 5, {
      deadlineMs: patienceMs,
    })
  }

  /** Does something while consoles cannot be written down: what the guest says meanwhile may be missing. */
  async unheard<T>(work: () => Promise<T>): Promise<T> {
    const latest = async () => Math.max(0, ...(await this.numbers()).flat())
    const from = await latest()
    try {
      return await work()
    } finally {
      await this.goesOn()
      this.#unheard.push({ from, to: await latest() })
    }
  }

  /** @throws Error unless every number was said by one copy only, and none was left out between the first and the last */
  async verify(): Promise<void> {
    const all = (await this.numbers()).flat().toSorted((a, b) => a - b)
    const twice = all.filter((number, i) => all[i - 1] === number)
    if (twice.length) throw new Error(`two copies of the guest ran: both said ${twice.slice(0, 10).join()}`)
    // One may be cut in two by the move, for the console of each copy is a file of its own.
    const isUnheard = (number: number) => this.#unheard.some(({ from, to }) => number > from && number <= to)
    const holes = all.filter((number, i) => i > 0 && number > all[i - 1]! + 2 && !isUnheard(number))
    if (holes.length)
      throw new Error(`the guest lost its memory or its console: nothing was said before ${holes.join()}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await this.#watching
    for (const file of this.#consoles.values()) await file.close()
  }

  async #watch(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await this.#openConsoles().catch(() => undefined) // the server is down: nothing new comes then
      await delay(everyMs, this.#stop.signal).catch(() => undefined)
    }
  }

  /** Opened as soon as they are there: a file that is open can be read after its sandbox is gone. */
  async #openConsoles(): Promise<void> {
    for (const { metadata } of await this.#stage.pods(this.#vm)) {
      if (this.#consoles.has(metadata.uid)) continue
      const file = await open(`${this.#stage.dir}/pods/${metadata.uid}/run/console.log`).catch(() => undefined)
      if (file) this.#consoles.set(metadata.uid, file)
    }
  }
}

async function textOf(file: FileHandle): Promise<string> {
  const { size } = await file.stat()
  const buffer = Buffer.alloc(size)
  const { bytesRead } = await file.read(buffer, 0, size, 0)
  return buffer.subarray(0, bytesRead).toString()
}
