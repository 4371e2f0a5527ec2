import type { IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { WebSocket } from 'ws'
import { Fault } from '#base/fault.ts'
import { faultOfAnswer } from '../client/faults.ts'
import { contextOf, type Endpoint } from './https.ts'

/** Largest refusal that is read, bytes. */
const maxRefusal = 64 * 1024
/** Time for a server to answer, milliseconds. */
const answerMs = 75_000

/** Channels of an API server, such as consoles, and its answers that are bytes. */
export class Channels {
  readonly #endpoint: Endpoint
  readonly #base: URL
  readonly #headers: Readonly<Record<string, string>>

  constructor(endpoint: Endpoint, program: string) {
    this.#endpoint = endpoint
    this.#base = new URL(endpoint.server)
    const { token } = endpoint
    this.#headers = { 'user-agent': program, ...(token && { authorization: `Bearer ${token}` }) }
  }

  /** Opens a channel; it is paused, so that nothing is missed before it is listened to. @throws Fault as the server refuses, Unavailable, Aborted */
  open(path: string, protocol: string, signal?: AbortSignal): Promise<WebSocket> {
    const { promise, resolve, reject } = Promise.withResolvers<WebSocket>()
    const url = new URL(`${this.#base.pathname.replace(/\/$/, '')}${path}`, this.#base)
    const socket = new WebSocket(url, protocol, {
      ...this.#tls(),
      headers: this.#headers,
      handshakeTimeout: answerMs,
      perMessageDeflate: false,
    })
    const stop = () => socket.terminate()
    signal?.addEventListener('abort', stop, { once: true })
    socket.once('open', () => {
      socket.pause()
      resolve(socket)
    })
    socket.on('error', (cause) => reject(this.#unavailable(cause, signal)))
    socket.once('close', () => signal?.removeEventListener('abort', stop))
    socket.once('unexpected-response', (_request, response) => {
      refusalOf(response).then(reject, (cause: unknown) => reject(this.#unavailable(cause, signal)))
    })
    if (signal?.aborted) stop()
    return promise
  }

  /** What is at a path. @throws Fault as the server refuses, Unavailable */
  async download(path: string): Promise<Buffer> {
    try {
      const response = await new Promise<IncomingMessage>((resolve, reject) => {
        const { hostname, port, pathname } = this.#base
        const sent = httpsRequest({
          ...this.#tls(),
          host: hostname.replace(/^\[|\]$/g, ''),
          port: port || 443,
          path: `${pathname.replace(/\/$/, '')}${path}`,
          headers: this.#headers,
          timeout: answerMs,
          agent: false,
        })
        sent.once('response', resolve)
        sent.once('timeout', () => sent.destroy(new Error('it does not answer')))
        sent.once('error', reject)
        sent.end()
      })
      if (response.statusCode !== 200) throw await refusalOf(response)
      return await bytesOf(response, Number.POSITIVE_INFINITY)
    } catch (error) {
      throw error instanceof Fault ? error : this.#unavailable(error)
    }
  }

  #tls() {
    const { serverName, insecureSkipTlsVerify = false } = this.#endpoint
    return {
      secureContext: contextOf(this.#endpoint),
      rejectUnauthorized: !insecureSkipTlsVerify,
      ...(serverName && { servername: serverName }),
    }
  }

  #unavailable(cause: unknown, signal?: AbortSignal): Fault {
    if (signal?.aborted) return new Fault('Aborted', 'The request was given up', { cause })
    const text = `The API server at ${this.#endpoint.server} cannot be reached; is \`patchbay up\` running there?`
    return new Fault('Unavailable', text, { cause })
  }
}

async function refusalOf(response: IncomingMessage): Promise<Fault> {
  return faultOfAnswer(response.statusCode ?? 0, (await bytesOf(response, maxRefusal)).toString())
}

async function bytesOf(response: IncomingMessage, max: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    bytes += chunk.length
    if (bytes > max) break
  }
  return Buffer.concat(chunks)
}
