import { Fault, faultKind } from '#base/fault.ts'
import { isObject, type Json } from '#base/json.ts'
import { delay } from '#base/wait.ts'
import { faultOfAnswer } from './faults.ts'
import type { Incoming, Transport } from './transport.ts'

type Sending = Readonly<{ body?: unknown; type?: string; signal?: AbortSignal | undefined }>

/** Longest silence of an answer, milliseconds: the server times out after 60 s. */
const answerMs = 75_000
/** Longest silence of a watch, milliseconds: the server sends a bookmark once a minute. */
const watchSilenceMs = 150_000
/** How often a request is retried after a 429. */
const maxRefusals = 5

/** Requests to one API server in JSON, and the meaning of its answers. Runs in a browser: the transport carries them. */
export class Connection {
  readonly #transport: Transport
  readonly #headers: Readonly<Record<string, string>>

  /** `program` is `NAME/VERSION`; the name owns the fields that are written. */
  constructor(transport: Transport, program: string) {
    this.#transport = transport
    this.#headers = { accept: 'application/json', 'user-agent': program }
  }

  /** Where the server is. */
  get server(): string {
    return this.#transport.server
  }

  /** The answer of the server, undefined when it is empty. @throws Fault of the kind the server's status says */
  async send(method: string, path: string, sending: Sending = {}): Promise<Json | undefined> {
    for (let refusals = 0; ; refusals++) {
      try {
        const { pieces } = await this.#open(method, path, sending, answerMs)
        return parsed(await textOf(pieces), this.server)
      } catch (error) {
        const seconds =
          error instanceof Fault && faultKind(error) === 'TooMany' ? error.data.retryAfterSeconds : undefined
        if (typeof seconds !== 'number' || refusals >= maxRefusals) throw error
        await delay(seconds * 1000, sending.signal)
      }
    }
  }

  /**
   * The lines of a streamed answer, as they come, until the signal aborts. Ends with the connection, and after a silence so
   * long that the other end must be gone.
   */
  async *lines(path: string, signal: AbortSignal): AsyncIterable<readonly string[]> {
    let pieces: AsyncIterable<string>
    try {
      pieces = (await this.#open('GET', path, { signal }, watchSilenceMs)).pieces
    } catch (error) {
      if (signal.aborted) return
      throw error
    }
    let rest = ''
    try {
      for await (const piece of pieces) {
        const parts = `${rest}${piece}`.split('\n')
        rest = parts.pop() ?? ''
        if (parts.length) yield parts
      }
    } catch (error) {
      // In either case the caller resumes with a new request.
      if (!signal.aborted && !isCut(error) && faultKind(error) !== 'Timeout') throw error
    }
  }

  async #open(method: string, path: string, sending: Sending, silenceMs: number): Promise<Incoming> {
    const { body, type = 'application/json', signal } = sending
    const answer = await this.#transport.send({
      method,
      path,
      headers: { ...this.#headers, ...(body !== undefined && { 'content-type': type }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      silenceMs,
      ...(signal && { signal }),
    })
    if (answer.code >= 200 && answer.code < 300) return answer
    throw faultOfAnswer(answer.code, await textOf(answer.pieces))
  }
}

/** True for an answer that the other end closed before it was whole. */
function isCut(error: unknown): boolean {
  return error instanceof Fault && error.data.isCut === true
}

async function textOf(pieces: AsyncIterable<string>): Promise<string> {
  let text = ''
  for await (const piece of pieces) text += piece
  return text
}

function parsed(text: string, server: string): Json | undefined {
  if (text === '') return undefined
  try {
    const value: Json = JSON.parse(text)
    if (isObject(value) || Array.isArray(value)) return value
  } catch {
    // Reported below.
  }
  throw new Fault('Unavailable', `What answers at ${server} is no Kubernetes API; see the kubeconfig`)
}
