import { X509Certificate } from 'node:crypto'
import http, { type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import https from 'node:https'
import { getCACertificates } from 'node:tls'
import { explain, Fault, systemCode } from '#base/fault.ts'
import { version } from '#base/version.ts'
import { guardedLookup, localRefusal, refuseLocalLiteral } from './guard.ts'

/** What downloads may reach, and how. */
export type HttpOptions = Readonly<{
  /** Whether addresses of this host and its link may be reached. */
  isLocalAllowed: boolean
  /** Hosts (`HOST[:PORT]`) that the operator has named: they may be local, and are reached without the proxy. */
  trustedHosts: ReadonlySet<string>
  /** Certificates (PEM) of authorities that are trusted besides the usual ones. */
  ca?: string
  /** The proxy that everything but trusted hosts is reached by. */
  proxy?: URL
  /** How long a server may send nothing, milliseconds. */
  stallMs: number
}>

/** A request. `ownHeaders` are sent to the origin of the URL and to no other. */
export type Ask = Readonly<{
  method?: 'GET' | 'HEAD'
  headers?: Readonly<Record<string, string>>
  ownHeaders?: Readonly<Record<string, string>>
  signal: AbortSignal
}>

/** The begin of an answer; its body has to be read or destroyed. */
export type Answer = Readonly<{ status: number; headers: IncomingHttpHeaders; url: URL; body: IncomingMessage }>

const maxRedirects = 5
const certificate = /-----BEGIN CERTIFICATE-----.*?(?:-----END CERTIFICATE-----|$)/gs
const redirects: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])

/** Requests by http and https. Redirects are followed here, because each has to be checked. */
export class HttpClient {
  readonly #options: HttpOptions
  readonly #direct: Agents
  readonly #guarded: Agents
  readonly #proxied: Agents | undefined

  constructor(options: HttpOptions) {
    this.#options = options
    const ca = options.ca === undefined ? {} : { ca: [...getCACertificates('default'), options.ca] }
    this.#direct = agentsWith(ca)
    this.#guarded = agentsWith({ ...ca, lookup: guardedLookup })
    const { proxy } = options
    if (proxy) this.#proxied = agentsWith({ ...ca, proxyEnv: { HTTP_PROXY: proxy.href, HTTPS_PROXY: proxy.href } })
  }

  /** A client that trusts these certificates (PEM), too. @throws Fault Unavailable for what is no certificate */
  trusting(ca: string): HttpClient {
    try {
      for (const [pem] of ca.matchAll(certificate)) new X509Certificate(pem)
    } catch (cause) {
      throw new Fault('Unavailable', 'The certificates for a download cannot be read (PEM)', { cause })
    }
    const { ca: known } = this.#options
    return new HttpClient({ ...this.#options, ca: known === undefined ? ca : `${known}\n${ca}` })
  }

  /**
   * Sends a request and resolves when the header of the answer is here, whatever its status.
   * @throws Fault Forbidden for an address or a redirect that is not allowed, Unavailable, Timeout
   */
  async request(url: URL, ask: Ask): Promise<Answer> {
    const { ownHeaders: _, ...plain } = ask
    for (let at = url, hops = 0; ; hops++) {
      // Who is redirected to gets no password, nor does anything after it.
      const isOwn = hops === 0 || (at.origin === url.origin && at.protocol === url.protocol)
      const answer = await this.#once(at, isOwn ? ask : plain)
      const location = redirects.has(answer.status) ? answer.headers.location : undefined
      if (location === undefined) return answer
      answer.body.destroy()
      if (hops === maxRedirects)
        throw new Fault('Unavailable', `${nameOf(url)} redirects more than ${maxRedirects} times`)
      at = redirectOf(at, location)
    }
  }

  async #once(url: URL, ask: Ask): Promise<Answer> {
    const { signal } = ask
    signal.throwIfAborted()
    const { stallMs } = this.#options
    const { promise, resolve, reject } = Promise.withResolvers<Answer>()
    const request = this.#begin(url, ask)
    // A request that waits for a proxy's tunnel does not hear that it is destroyed.
    const end = (reason: unknown) => {
      reject(reason)
      request.destroy()
    }
    const stalled = () => new Fault('Timeout', `${url.host} sent nothing for ${stallMs / 1000} s`)
    const timer = setTimeout(() => end(stalled()), stallMs)
    const stop = () => end(signal.reason)
    signal.addEventListener('abort', stop, { once: true })
    request.on('error', reject)
    request.on('response', (body) => {
      request.setTimeout(stallMs, () => body.destroy(stalled()))
      // A body that is destroyed before it is read must not end the process.
      body.on('error', () => undefined)
      resolve({ status: body.statusCode ?? 0, headers: body.headers, url, body })
    })
    request.end()
    try {
      return await promise
    } catch (error) {
      throw failureOf(error, url, signal)
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', stop)
    }
  }

  #begin(url: URL, { method = 'GET', headers, ownHeaders, signal }: Ask): http.ClientRequest {
    const agents = this.#agentsFor(url)
    const isTls = url.protocol === 'https:'
    return (isTls ? https : http).request(url, {
      method,
      headers: { 'user-agent': `patchbay/${version}`, ...ownHeaders, ...headers },
      agent: isTls ? agents.https : agents.http,
      timeout: this.#options.stallMs,
      signal,
    })
  }

  /** @throws Fault Forbidden */
  #agentsFor(url: URL): Agents {
    const { isLocalAllowed, trustedHosts } = this.#options
    if (trustedHosts.has(url.host)) return this.#direct
    if (isLocalAllowed) return this.#proxied ?? this.#direct
    refuseLocalLiteral(url.hostname)
    if (!this.#proxied) return this.#guarded
    // The proxy resolves all other names; this one has the same meaning everywhere.
    if (/(^|\.)localhost\.?$/i.test(url.hostname)) throw localRefusal(url.hostname)
    return this.#proxied
  }
}

type Agents = Readonly<{ http: http.Agent; https: https.Agent }>

function agentsWith(options: https.AgentOptions): Agents {
  return { http: new http.Agent(options), https: new https.Agent(options) }
}

/** @throws Fault Forbidden for a scheme that is not allowed */
function redirectOf(from: URL, location: string): URL {
  const to = URL.parse(location, from.href)
  const isAllowed = to && (to.protocol === 'https:' || (to.protocol === 'http:' && from.protocol === 'http:'))
  if (isAllowed && !to.username && !to.password) return to
  throw new Fault('Forbidden', `${nameOf(from)} redirects to ${to?.protocol ?? 'nowhere'}//, which is not followed`)
}

/** A URL for humans: its query may have a signature or a password in it. */
export function nameOf(url: URL): string {
  return `${url.origin}${url.pathname}`
}

/** What a failure of a connection means. */
function failureOf(error: unknown, url: URL, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason
  if (error instanceof Fault) return error
  const isCertificate = /certificate|CERT_|altname/i.test(`${systemCode(error)} ${explain(error)}`)
  const remedy = isCertificate ? '; if its authority is your own, name its certificate by --image-ca' : ''
  return new Fault('Unavailable', `${url.host} cannot be reached${remedy}`, { cause: error })
}

/** The body of an answer. @throws Fault Unavailable when it breaks off, Timeout when it stalls */
export async function* bodyOf({ body, url }: Answer, signal: AbortSignal): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of body) yield chunk
  } catch (error) {
    if (signal.aborted) throw signal.reason
    if (error instanceof Fault) throw error
    throw new Fault('Unavailable', `The download of ${nameOf(url)} broke off`, { cause: error })
  } finally {
    body.destroy()
  }
}

/** A small body as a whole. @throws Fault Invalid when it is larger, and the faults of `bodyOf` */
export async function smallBodyOf(answer: Answer, maxBytes: number, signal: AbortSignal): Promise<Buffer> {
  const parts: Buffer[] = []
  let length = 0
  for await (const chunk of bodyOf(answer, signal)) {
    length += chunk.length
    if (length > maxBytes) throw new Fault('Invalid', `${nameOf(answer.url)} is larger than ${maxBytes} bytes`)
    parts.push(chunk)
  }
  return Buffer.concat(parts)
}

/** What a status that is no success means for a download of `what`. */
export function statusFault(what: string, status: number, detail = ''): Fault {
  const answer = `answered ${status}${detail && ` (${detail})`}`
  if (status === 401 || status === 403)
    return new Fault('Forbidden', `${what} may not be read: the server ${answer}; give credentials that may read it`)
  if (status === 404 || status === 410) return new Fault('NotFound', `${what} does not exist: the server ${answer}`)
  if (status === 408 || status === 429 || status >= 500)
    return new Fault('Unavailable', `${what} cannot be read now: the server ${answer}`)
  return new Fault('Invalid', `${what} cannot be read: the server ${answer}`)
}
