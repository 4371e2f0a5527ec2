import { connect } from 'node:http2'
import { request } from 'node:https'
import type { Any } from '../api.ts'
import { type Address, type Gate, mark, type Plural, roots } from './ground.ts'

export type WatcherOptions = Readonly<{
  plural: Plural
  /** Only objects of this color. */
  color?: string
  protocol: 'HTTP/1.1' | 'HTTP/2'
  /** The revision to begin after. */
  from: number
}>

/** Follows objects by one watch after another, each from the last revision seen. */
export class Watcher {
  readonly options: WatcherOptions
  /** What it was told, as `TYPE revision`, in the order it came. */
  readonly events: string[] = []
  /** What is there, by name, going by what it was told. */
  readonly world = new Map<string, Any>()
  /** How many watches it took. */
  opened = 0
  readonly #gate: Gate
  readonly #address: Address
  #revision: number

  constructor(options: WatcherOptions, gate: Gate, address: Address) {
    this.options = options
    this.#gate = gate
    this.#address = address
    this.#revision = options.from
  }

  async run(stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      await this.#gate.wait()
      if (stop.aborted) return
      const { turns } = this.#gate
      const why = await this.#follow(stop).catch((error: unknown) => error)
      if (!stop.aborted && this.#gate.turns === turns)
        throw new Error(`a watch from ${this.#revision} ended though the server had not been killed`, { cause: why })
    }
  }

  async #follow(stop: AbortSignal): Promise<void> {
    const selector = Object.entries({ ...mark, ...(this.options.color && { color: this.options.color }) })
      .map(([name, value]) => `${name}%3D${value}`)
      .join(',')
    const path = `${roots[this.options.plural]}?watch=1&resourceVersion=${this.#revision}&labelSelector=${selector}`
    const chunks = this.options.protocol === 'HTTP/2' ? this.#open2(path, stop) : this.#open1(path, stop)
    this.opened++
    let rest = ''
    for await (const chunk of chunks) {
      const lines = (rest + chunk).split('\n')
      // What was cut off in the middle was not told.
      rest = lines.pop()!
      for (const line of lines) this.#take(JSON.parse(line))
    }
    throw new Error(`it said ${rest || 'nothing'} at the end`)
  }

  #take({ type, object }: { type: string; object: Any }): void {
    if (type === 'ERROR') throw new Error(`a watch from ${this.#revision} ended with ${JSON.stringify(object)}`)
    const { name, resourceVersion } = object.metadata
    this.events.push(`${type} ${resourceVersion}`)
    this.#revision = Number(resourceVersion)
    if (type === 'DELETED') this.world.delete(name)
    else this.world.set(name, object)
  }

  async *#open1(path: string, signal: AbortSignal): AsyncGenerator<string> {
    const { promise, resolve, reject } = Promise.withResolvers<NodeJS.ReadableStream>()
    const { port, ca, cert, key } = this.#address
    const asked = request({ host: '127.0.0.1', port, ca, cert, key, path, agent: false, signal }, resolve)
    asked.on('error', reject).end()
    const stream = await promise
    stream.setEncoding('utf8')
    yield* stream as AsyncIterable<string>
  }

  async *#open2(path: string, signal: AbortSignal): AsyncGenerator<string> {
    const { port, ca, cert, key } = this.#address
    const session = connect(`https://127.0.0.1:${port}`, { ca, cert, key })
    const end = () => session.destroy()
    signal.addEventListener('abort', end)
    // The stream fails with its session, and tells.
    session.on('error', () => undefined)
    try {
      const stream = session.request({ ':path': path })
      stream.setEncoding('utf8')
      yield* stream as AsyncIterable<string>
    } finally {
      signal.removeEventListener('abort', end)
      session.destroy()
    }
  }
}
