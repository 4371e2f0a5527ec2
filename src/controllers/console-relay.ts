import { delay } from '#base/wait.ts'
import type { ByteStream } from '#core/ports.ts'

/** The sandbox that a guest is in, and the node of that. */
export type Place = Readonly<{ node: string; uid: string }>

export type RelayOptions = Readonly<{
  /** Opens the console of a sandbox; `tail` is how much of what it has printed before is wanted, the usual unless given. */
  open: (place: Place, signal: AbortSignal, tail?: number) => Promise<ByteStream>
  /** Calls back with each place the guest comes to, in order, and with undefined when it has ended. Returns what ends it. */
  follow: (listener: (place: Place | undefined) => void) => () => void
  /** Whether what is typed here counts. */
  isTyping: () => boolean
  signal: AbortSignal
}>

/** All that a new sandbox has printed since the guest came to it is wanted. */
const everything = 1024 * 1024

/**
 * Time without output after which a console whose guest has gone is taken for read, milliseconds: what QEMU wrote last is on its
 * way through a pipe.
 */
const quietMs = 250

/**
 * A console that follows its guest through live migrations. What the guest printed in the sandbox it comes from is passed on first;
 * what comes from there later than expected is passed on too. Ends when the guest has ended.
 */
export async function relayConsole(first: Place, options: RelayOptions): Promise<ByteStream> {
  const { open, follow, isTyping, signal } = options
  const end = new AbortController()
  const own = AbortSignal.any([signal, end.signal])
  const { readable, writable: out } = new TransformStream<Uint8Array, Uint8Array>()
  const writer = out.getWriter()
  let place = first
  let current = new Source(await open(first, own), writer)
  const failed = (error: unknown) => {
    end.abort()
    writer.abort(error).catch(() => undefined)
  }
  const move = async (to: Place | undefined) => {
    if (own.aborted || to?.uid === place.uid) return
    await current.read(own)
    if (to) {
      place = to
      current = new Source(await open(to, own, everything), writer)
      return
    }
    await writer.close()
    end.abort()
  }
  let moves = Promise.resolve()
  const forget = follow((to) => {
    moves = moves.then(() => move(to)).catch(failed)
  })
  own.addEventListener('abort', forget, { once: true })
  if (own.aborted) forget()
  writer.closed.catch(() => end.abort())
  return { readable, writable: inputOf(() => current, isTyping, end) }
}

/** What is typed goes to where the guest is. */
function inputOf(current: () => Source, isTyping: () => boolean, end: AbortController): WritableStream<Uint8Array> {
  const stop = () => end.abort()
  return new WritableStream<Uint8Array>({
    write: async (bytes) => {
      if (!isTyping()) return
      const to = current()
      try {
        await to.type(bytes)
      } catch (error) {
        // The sandbox that the guest has left takes nothing any more.
        if (to === current()) throw error
      }
    },
    close: stop,
    abort: stop,
  })
}

/** The console of one sandbox, whose output goes to `out` until it ends. */
class Source {
  readonly #input: WritableStreamDefaultWriter<Uint8Array>
  readonly #over: Promise<void>
  /** Since when it has waited for output; undefined while it passes some on. */
  #idleSinceMs: number | undefined

  constructor({ readable, writable }: ByteStream, out: WritableStreamDefaultWriter<Uint8Array>) {
    this.#input = writable.getWriter()
    this.#input.closed.catch(() => undefined)
    this.#over = this.#pass(readable.getReader(), out).catch(() => undefined)
  }

  type(bytes: Uint8Array): Promise<void> {
    return this.#input.write(bytes)
  }

  /** Resolves when all output there is has been passed on. */
  async read(signal: AbortSignal): Promise<void> {
    let isOver = false
    void this.#over.then(() => {
      isOver = true
    })
    const quiet = async () => {
      while (!isOver && !signal.aborted) {
        const idleMs = this.#idleSinceMs === undefined ? 0 : performance.now() - this.#idleSinceMs
        if (idleMs >= quietMs) return
        await delay(quietMs - idleMs, signal).catch(() => undefined)
      }
    }
    const since = this.#idleSinceMs
    // It counts from now: what the guest printed last may not have come yet.
    if (since !== undefined) this.#idleSinceMs = performance.now()
    await Promise.race([this.#over, quiet()])
  }

  async #pass(
    reader: ReadableStreamDefaultReader<Uint8Array>,
    out: WritableStreamDefaultWriter<Uint8Array>,
  ): Promise<void> {
    for (;;) {
      this.#idleSinceMs = performance.now()
      const { done, value } = await reader.read()
      this.#idleSinceMs = undefined
      if (done) return
      await out.write(value)
    }
  }
}
