import type { ClientRequest, IncomingMessage } from 'node:http'
import { Agent, request as httpsRequest } from 'node:https'
import { createSecureContext, type SecureContext } from 'node:tls'
import { Fault } from '#base/fault.ts'
import type { Incoming, Outgoing, Transport } from '../client/transport.ts'

/** Where an API server is, and our credentials. Certificates and keys are PEM. */
export type Endpoint = Readonly<{
  /** `https://HOST:PORT`, optionally with a prefix of all paths. */
  server: string
  ca?: string
  cert?: string
  key?: string
  token?: string
  /** The name in the server's certificate, when it is not that of the address. */
  serverName?: string
  insecureSkipTlsVerify?: boolean
}>

/** HTTPS over Node's sockets, which are reused between requests. */
export class HttpsTransport implements Transport, Disposable {
  readonly server: string
  readonly #base: URL
  readonly #agent: Agent
  readonly #token: string | undefined

  /** @throws Fault Invalid for a certificate and a key that do not match */
  constructor(endpoint: Endpoint) {
    const { server, token, serverName, insecureSkipTlsVerify = false } = endpoint
    this.server = server
    this.#base = new URL(server)
    this.#agent = new Agent({
      keepAlive: true,
      secureContext: contextOf(endpoint),
      rejectUnauthorized: !insecureSkipTlsVerify,
      ...(serverName && { servername: serverName }),
    })
    this.#token = token
  }

  [Symbol.dispose](): void {
    this.#agent.destroy()
  }

  /** Retries when a reused connection turns out to be closed; a write is sent once. */
  async send(request: Outgoing): Promise<Incoming> {
    for (;;) {
      let sent: ClientRequest | undefined
      try {
        const response = await new Promise<IncomingMessage>((resolve, reject) => {
          sent = this.#start(request)
          const silence = () => sent?.destroy(new Fault('Timeout', `${this.#named} does not answer`))
          sent.setTimeout(request.silenceMs, silence)
          sent.once('response', resolve)
          sent.once('error', reject)
        })
        return { code: response.statusCode ?? 0, pieces: this.#piecesOf(response, request.signal) }
      } catch (error) {
        if (request.method === 'GET' && sent?.reusedSocket && isClosed(error)) continue
        throw this.#faultOf(error, request.signal)
      }
    }
  }

  #start({ method, path, headers, body, signal }: Outgoing): ClientRequest {
    const { hostname, port, pathname } = this.#base
    const sent = httpsRequest({
      agent: this.#agent,
      // Addresses of IPv6 are in brackets in URLs only.
      host: hostname.replace(/^\[|\]$/g, ''),
      port: port || 443,
      method,
      path: `${pathname.replace(/\/$/, '')}${path}`,
      headers: {
        ...headers,
        ...(this.#token && { authorization: `Bearer ${this.#token}` }),
        ...(body !== undefined && { 'content-length': Buffer.byteLength(body) }),
      },
      ...(signal && { signal }),
    })
    sent.end(body)
    return sent
  }

  async *#piecesOf(response: IncomingMessage, signal: AbortSignal | undefined): AsyncIterable<string> {
    try {
      for await (const chunk of response.setEncoding('utf8')) yield chunk as string
    } catch (error) {
      throw this.#faultOf(error, signal)
    } finally {
      response.destroy()
    }
  }

  get #named(): string {
    return `The API server at ${this.server}`
  }

  #faultOf(error: unknown, signal: AbortSignal | undefined): Fault {
    if (error instanceof Fault) return error
    if (signal?.aborted) return new Fault('Aborted', 'The request was given up', { cause: error })
    const code = String((error as NodeJS.ErrnoException).code ?? '')
    if (/CERT|ALTNAME|ISSUER|VERIFY_LEAF/.test(code))
      return new Fault(
        'Unavailable',
        `${this.#named} shows a certificate that is not to be trusted; use the kubeconfig that this server wrote (DIR/kubeconfig)`,
        { cause: error },
      )
    return new Fault(
      'Unavailable',
      `${this.#named} cannot be reached; is \`patchbay up\` running there? Else name another with --kubeconfig or --context`,
      { cause: error, ...(isClosed(error) && { data: { isCut: true } }) },
    )
  }
}

/** @throws Fault Invalid */
export function contextOf({ ca, cert, key }: Endpoint): SecureContext {
  try {
    return createSecureContext({ ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) })
  } catch (cause) {
    throw new Fault('Invalid', 'The certificates and the key of the kubeconfig do not go together', { cause })
  }
}

/** True for a socket's error when the other end has closed. */
function isClosed(error: unknown): boolean {
  return /^(ECONNRESET|EPIPE)$/.test(String((error as NodeJS.ErrnoException)?.code))
}
