import { Fault } from '#base/fault.ts'
import type { Incoming, Outgoing, Transport } from '#machinery/client/transport.ts'

/** Owns the fields that the page writes: a browser does not let a page choose its user-agent. */
const fieldManager = 'patchbay-page'

/** What a transport reports while it works. */
export type TransportHooks = Readonly<{
  token: () => string
  /** Called with the code of every answer. */
  onAnswer: (code: number, path: string) => void
  /** Called when a watch opens and when it ends; `path` is without its query. */
  onWatch: (path: string, isOpen: boolean) => void
}>

/** Requests by the browser's fetch, to the server that the page came from. */
export class FetchTransport implements Transport {
  readonly server = globalThis.location.origin
  readonly #hooks: TransportHooks

  constructor(hooks: TransportHooks) {
    this.#hooks = hooks
  }

  async send({ method, path, headers, body, silenceMs, signal }: Outgoing): Promise<Incoming> {
    const silence = new Silence(silenceMs)
    const { 'user-agent': _, ...own } = headers
    const url = new URL(path, this.server)
    if (method !== 'GET' && method !== 'DELETE') url.searchParams.set('fieldManager', fieldManager)
    const isWatch = url.searchParams.has('watch')
    const failed = (error: unknown) => faultOf(error, `${method} ${url.pathname}`, signal, silence)
    let answer: Response
    try {
      answer = await fetch(url, {
        method,
        headers: { ...own, authorization: `Bearer ${this.#hooks.token()}` },
        ...(body !== undefined && { body }),
        cache: 'no-store',
        credentials: 'omit',
        signal: signal ? AbortSignal.any([signal, silence.signal]) : silence.signal,
      })
    } catch (error) {
      silence.end()
      throw failed(error)
    }
    this.#hooks.onAnswer(answer.status, url.pathname)
    const isOpen = isWatch && answer.ok
    if (isOpen) this.#hooks.onWatch(url.pathname, true)
    const onEnd = () => isOpen && this.#hooks.onWatch(url.pathname, false)
    return { code: answer.status, pieces: pieces(answer.body, silence, failed, onEnd) }
  }
}

async function* pieces(
  body: ReadableStream<Uint8Array> | null,
  silence: Silence,
  failed: (error: unknown) => Fault,
  onEnd: () => void,
): AsyncIterable<string> {
  const reader = body?.getReader()
  const decoder = new TextDecoder()
  try {
    for (;;) {
      const next = await reader?.read().catch((error: unknown) => {
        throw failed(error)
      })
      silence.restart()
      if (!next || next.done) return
      yield decoder.decode(next.value, { stream: true })
    }
  } finally {
    silence.end()
    // Closes an answer that is no longer read; one that has failed is closed already.
    void reader?.cancel().catch(() => {})
    onEnd()
  }
}

function faultOf(error: unknown, what: string, signal: AbortSignal | undefined, silence: Silence): Fault {
  if (signal?.aborted) return new Fault('Aborted', `${what} was aborted`, { cause: error })
  if (silence.signal.aborted) return new Fault('Timeout', `${what} had no answer`, { cause: error })
  return new Fault('Unavailable', `${what} did not reach the server`, { cause: error, data: { isCut: true } })
}

/** Aborts after a time without a byte. */
class Silence {
  readonly #ms: number
  readonly #controller = new AbortController()
  #timer: ReturnType<typeof setTimeout>

  constructor(ms: number) {
    this.#ms = ms
    this.#timer = this.#start()
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  restart(): void {
    clearTimeout(this.#timer)
    this.#timer = this.#start()
  }

  end(): void {
    clearTimeout(this.#timer)
  }

  #start() {
    return setTimeout(() => this.#controller.abort(), this.#ms)
  }
}
