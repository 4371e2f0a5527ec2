import type { ClientRequest, IncomingMessage } from 'node:http'
import { Agent, request as httpsRequest } from 'node:https'
import { createSecureContext, type SecureContext } from 'node:tls'
import { Fault, faultKind, systemCode } from '#base/fault.ts'
import { isObject, type Json } from '#base/json.ts'
import { delay } from '#base/wait.ts'
import { faultOfAnswer } from './faults.ts'

/** Where an API server is and who we are to it. Certificates and keys are PEM. */
export type Endpoint = Readonly<{
  /** `https://HOST:PORT`, perhaps with a path that goes before all others. */
  server: string
  ca?: string
  cert?: string
  key?: string
  token?: string
  /** The name the server's certificate must be for, when it is not that of the address. */
  serverName?: string
  insecureSkipTlsVerify?: boolean
}>

export type Sending = Readonly<{ body?: unknown; type?: string; signal?: AbortSignal | undefined }>

/** Longest silence of an answer, milliseconds: the server gives up after 60 s. */
const answerMs = 75_000
/** Longest silence of a watch, milliseconds: the server tells every one once a minute how far it has come. */
const watchSilenceMs = 150_000
/** How often a request is repeated that the server had no room for. */
const maxRefusals = 5

/** Requests to one API server over connections that are kept open. */
export class Connection implements Disposable {
  readonly server: string
  readonly #base: URL
  readonly #agent: Agent
  readonly #headers: Readonly<Record<string, string>>

  /** `program` is `NAME/VERSION`; the name owns the fields that are written. @throws Fault Invalid */
  constructor(endpoint: Endpoint, program: string) {
    const { server, token, serverName, insecureSkipTlsVerify = false } = endpoint
    this.server = server
    this.#base = new URL(server)
    this.#agent = new Agent({
      keepAlive: true,
      secureContext: contextOf(endpoint),
      rejectUnauthorized: !insecureSkipTlsVerify,
      ...(serverName && { servername: serverName }),
    })
    this.#headers = {
      accept: 'application/json',
      'user-agent': program,
      ...(token && { authorization: `Bearer ${token}` }),
    }
  }

  [Symbol.dispose](): void {
    this.#agent.destroy()
  }

  /** The answer of the server, undefined when it is empty. @throws Fault of the kind the server's status says */
  async send(method: string, path: string, sending: Sending = {}): Promise<Json | undefined> {
    for (let refusals = 0; ; refusals++) {
      try {
        const response = await this.#open(method, path, sending, answerMs)
        return parsed(await this.#textOf(response), this.server)
      } catch (error) {
        const seconds =
          error instanceof Fault && faultKind(error) === 'TooMany' ? error.data.retryAfterSeconds : undefined
        if (typeof seconds !== 'number' || refusals >= maxRefusals) throw error
        await delay(seconds * 1000, sending.signal)
      }
    }
  }

  /**
   * The lines of an answer that goes on, as they come, until the signal aborts. Ends when the connection does, and when
   * nothing was heard for so long that there can be nobody at its other end.
   */
  async *lines(path: string, signal: AbortSignal): AsyncIterable<readonly string[]> {
    let response: IncomingMessage
    try {
      response = await this.#open('GET', path, { signal }, watchSilenceMs)
    } catch (error) {
      if (signal.aborted) return
      throw error
    }
    let rest = ''
    try {
      for await (const chunk of response.setEncoding('utf8')) {
        const parts = `${rest}${chunk}`.split('\n')
        rest = parts.pop() ?? ''
        if (parts.length) yield parts
      }
    } catch (error) {
      // Whoever cut it, the reader goes on by asking anew.
      if (!isClosed(error) && !signal.aborted && faultKind(error) !== 'Timeout') throw this.#faultOf(error, signal)
    } finally {
      response.destroy()
    }
  }

  async #open(method: string, path: string, sending: Sending, silenceMs: number): Promise<IncomingMessage> {
    const response = await this.#answer(method, path, sending, silenceMs)
    const code = response.statusCode ?? 0
    if (code >= 200 && code < 300) return response
    throw faultOfAnswer(code, await this.#textOf(response))
  }

  /** Asks again when a kept connection turns out to be closed; what changes something is asked once. */
  async #answer(method: string, path: string, sending: Sending, silenceMs: number): Promise<IncomingMessage> {
    for (;;) {
      let sent: ClientRequest | undefined
      try {
        return await new Promise((resolve, reject) => {
          sent = this.#start(method, path, sending)
          sent.setTimeout(silenceMs, () => sent?.destroy(new Fault('Timeout', `${this.#named} does not answer`)))
          sent.once('response', resolve)
          sent.once('error', reject)
        })
      } catch (error) {
        if (method === 'GET' && sent?.reusedSocket && isClosed(error)) continue
        throw this.#faultOf(error, sending.signal)
      }
    }
  }

  #start(method: string, path: string, { body, type = 'application/json', signal }: Sending): ClientRequest {
    const { hostname, port, pathname } = this.#base
    const data = body === undefined ? undefined : JSON.stringify(body)
    const sent = httpsRequest({
      agent: this.#agent,
      // Addresses of IPv6 are in brackets in URLs only.
      host: hostname.replace(/^\[|\]$/g, ''),
      port: port || 443,
      method,
      path: `${pathname.replace(/\/$/, '')}${path}`,
      headers: {
        ...this.#headers,
        ...(data !== undefined && { 'content-type': type, 'content-length': Buffer.byteLength(data) }),
      },
      ...(signal && { signal }),
    })
    sent.end(data)
    return sent
  }

  async #textOf(response: IncomingMessage): Promise<string> {
    let text = ''
    try {
      for await (const chunk of response.setEncoding('utf8')) text += chunk
    } catch (error) {
      throw this.#faultOf(error, undefined)
    }
    return text
  }

  get #named(): string {
    return `The API server at ${this.server}`
  }

  #faultOf(error: unknown, signal: AbortSignal | undefined): Fault {
    if (error instanceof Fault) return error
    if (signal?.aborted) return new Fault('Aborted', 'The request was given up', { cause: error })
    const code = systemCode(error) ?? ''
    if (/CERT|ALTNAME|ISSUER|VERIFY_LEAF/.test(code))
      return new Fault(
        'Unavailable',
        `${this.#named} shows a certificate that is not to be trusted; use the kubeconfig that this server wrote (DIR/kubeconfig)`,
        { cause: error },
      )
    return new Fault(
      'Unavailable',
      `${this.#named} cannot be reached; is \`patchbay up\` running there? Else name another with --kubeconfig or --context`,
      { cause: error },
    )
  }
}

/** @throws Fault Invalid */
function contextOf({ ca, cert, key }: Endpoint): SecureContext {
  try {
    return createSecureContext({ ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) })
  } catch (cause) {
    throw new Fault('Invalid', 'The certificates and the key of the kubeconfig do not go together', { cause })
  }
}

/** True for what a socket throws that the other end has closed. */
function isClosed(error: unknown): boolean {
  return /^(ECONNRESET|EPIPE)$/.test(systemCode(error) ?? '')
}

function parsed(text: string, server: string): Json | undefined {
  if (text === '') return undefined
  try {
    const value: Json = JSON.parse(text)
    if (isObject(value) || Array.isArray(value)) return value
  } catch {
    // Told below.
  }
  throw new Fault('Unavailable', `What answers at ${server} is no Kubernetes API; see the kubeconfig`)
}
