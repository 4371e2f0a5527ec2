import { setTimeout as later } from 'node:timers'
import { Fault } from '#base/fault.ts'
import type { ByteStream, GuestStreams } from '#core/ports.ts'
import { pngOf } from '../rfb/png.ts'

/** The port of a simulated guest that answers: it sends back what it gets. */
const echoPort = 7

/** What is kept of what a guest has said, bytes. */
const keptBytes = 64 * 1024

type Tail = Readonly<{ tail?: number; tailLines?: number }>

/** What each simulated guest has said, and who listens. */
type Console = { said: Uint8Array; listeners: Set<(bytes: Uint8Array) => void> }

/** Streams into simulated guests: consoles that echo, a port that echoes, and a screen that says its version. */
export class SimStreams implements GuestStreams {
  readonly #nameOf: (uid: string) => string | undefined
  readonly #consoles = new Map<string, Console>()

  /** `nameOf` is the name of a sandbox's guest; undefined when it has none. */
  constructor(nameOf: (uid: string) => string | undefined) {
    this.#nameOf = nameOf
  }

  async open(uid: string, target: Parameters<GuestStreams['open']>[1], signal: AbortSignal): Promise<ByteStream> {
    const name = this.#guest(uid)
    if (target.to === 'console') return this.#console(uid, name, target, signal)
    if (target.to === 'screen') return echo(signal, 'RFB 003.008\n')
    if (target.port !== echoPort)
      throw new Fault('Unavailable', `${target.protocol} port ${target.port} of the simulated guest cannot be reached`)
    return echo(signal)
  }

  async screenshot(uid: string): Promise<Uint8Array> {
    this.#guest(uid)
    return pngOf(2, 1, new Uint8Array([255, 0, 0, 0, 0, 255]))
  }

  /** Has the guest of a sandbox print something. */
  print(uid: string, text: string): void {
    this.#say(this.#at(uid, this.#nameOf(uid) ?? ''), Buffer.from(text))
  }

  #guest(uid: string): string {
    const name = this.#nameOf(uid)
    if (name === undefined) throw new Fault('Unavailable', 'The guest is gone')
    return name
  }

  #at(uid: string, name: string): Console {
    const found = this.#consoles.get(uid)
    if (found) return found
    const made = {
      said: new Uint8Array(Buffer.from(`${name} login: `)),
      listeners: new Set<(bytes: Uint8Array) => void>(),
    }
    this.#consoles.set(uid, made)
    return made
  }

  #console(
    uid: string,
    name: string,
    { tail = keptBytes, tailLines = keptBytes }: Tail,
    signal: AbortSignal,
  ): ByteStream {
    const console = this.#at(uid, name)
    const readable = new ReadableStream<Uint8Array>({
      start: (controller) => {
        const said = Buffer.from(console.said.subarray(-tail)).toString('latin1').split('\n')
        if (tailLines) controller.enqueue(Buffer.from(said.slice(-tailLines).join('\n'), 'latin1'))
        const hear = (bytes: Uint8Array) => controller.enqueue(bytes)
        console.listeners.add(hear)
        const stop = () => {
          if (!console.listeners.delete(hear)) return
          controller.close()
        }
        signal.addEventListener('abort', stop, { once: true })
      },
    })
    const writable = new WritableStream<Uint8Array>({ write: (bytes) => this.#say(console, bytes) })
    return { readable, writable }
  }

  #say(console: Console, bytes: Uint8Array): void {
    console.said = new Uint8Array(Buffer.concat([console.said, bytes]).subarray(-keptBytes))
    for (const listener of console.listeners) listener(bytes)
  }
}

/** Sends back what it gets, after a greeting. */
function echo(signal: AbortSignal, greeting = ''): ByteStream {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>({
    start: (controller) => {
      if (greeting) controller.enqueue(Buffer.from(greeting))
      // As a connection does that is closed.
      const close = () => later(() => controller.terminate(), 0)
      if (signal.aborted) close()
      else signal.addEventListener('abort', close, { once: true })
    },
  })
  return { readable, writable }
}
