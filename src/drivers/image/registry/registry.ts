import { createHash } from 'node:crypto'
import { Fault } from '#base/fault.ts'
import { isList, isObject, parsedJson } from '#base/json.ts'
import type { RegistryCredentials } from '#core/ports.ts'
import { type Answer, type Ask, type HttpClient, nameOf, smallBodyOf, statusFault } from '../fetch/http-client.ts'
import { parseChallenges } from './challenge.ts'
import { basic, credentialFor } from './credentials.ts'
import { type Blob, manifestTypes, parseManifest } from './manifest.ts'
import { type Endpoint, endpointOf, type Mirrors, repositoryUrl } from './mirrors.ts'
import { type Reference, referenceText } from './reference.ts'

/** Largest manifest and largest answer about a token or a failure, bytes. */
const maxManifestBytes = 4 * 2 ** 20
const maxAnswerBytes = 256 * 1024

/** An image of a registry. */
export type RemoteImage = Readonly<{
  /** Digest of what the reference names, which may be an index of platforms. */
  manifestDigest: string
  /** Digest of the manifest for our platform. */
  platformDigest: string
  /** Lowest first. */
  layers: readonly Blob[]
}>

/** One repository of a registry, read with the credentials of one pull. */
export class Repository {
  readonly #http: HttpClient
  readonly #reference: Reference
  readonly #endpoint: Endpoint
  readonly #credentials: RegistryCredentials | undefined
  /** The header that the registry has accepted last. */
  #authorization: string | undefined

  constructor(
    http: HttpClient,
    reference: Reference,
    options: Readonly<{ mirrors: Mirrors; credentials?: RegistryCredentials | undefined }>,
  ) {
    this.#http = http
    this.#reference = reference
    this.#endpoint = endpointOf(reference.host, options.mirrors)
    this.#credentials = options.credentials
  }

  /** The digest that the reference has now; undefined when the registry tells it only with the manifest. */
  async currentDigest(signal: AbortSignal): Promise<string | undefined> {
    const { digest, tag } = this.#reference
    if (digest !== undefined) return digest
    const answer = await this.#get(`manifests/${tag}`, { method: 'HEAD', headers: { accept: manifestTypes } }, signal)
    answer.body.destroy()
    const told = answer.headers['docker-content-digest']
    return answer.status === 200 && typeof told === 'string' ? told : undefined
  }

  /** @throws Fault NotFound, Forbidden, Invalid, Unavailable, Timeout */
  async image(signal: AbortSignal): Promise<RemoteImage> {
    const { digest, tag } = this.#reference
    const top = await this.#manifest(digest ?? tag ?? 'latest', signal)
    if ('layers' in top.manifest)
      return { manifestDigest: top.digest, platformDigest: top.digest, layers: top.manifest.layers }
    const own = await this.#manifest(top.manifest.platform, signal)
    if ('layers' in own.manifest)
      return { manifestDigest: top.digest, platformDigest: own.digest, layers: own.manifest.layers }
    throw new Fault('Invalid', `The index of ${this.#what()} leads to another index`)
  }

  /** A blob from byte `from` on. */
  async blob(digest: string, from: number, signal: AbortSignal): Promise<Answer> {
    const headers = from > 0 ? { range: `bytes=${from}-` } : undefined
    const answer = await this.#get(`blobs/${digest}`, { ...(headers && { headers }) }, signal)
    if (answer.status < 400 || answer.status === 416) return answer
    throw await this.#refusal(answer, signal)
  }

  #what(): string {
    return referenceText(this.#reference)
  }

  async #manifest(name: string, signal: AbortSignal) {
    const answer = await this.#get(`manifests/${name}`, { headers: { accept: manifestTypes } }, signal)
    if (answer.status !== 200) throw await this.#refusal(answer, signal)
    const body = await smallBodyOf(answer, maxManifestBytes, signal)
    const digest = `sha256:${createHash('sha256').update(body).digest('hex')}`
    if (name.startsWith('sha256:') && name !== digest)
      throw new Fault('Invalid', `The manifest of ${this.#what()} has the digest ${digest} and should have ${name}`)
    return { digest, manifest: parseManifest(body.toString(), this.#what()) }
  }

  /** Sends a request, and once more with the authorization that the registry asks for. */
  async #get(
    path: string,
    ask: Readonly<{ method?: 'HEAD'; headers?: Readonly<Record<string, string>> }>,
    signal: AbortSignal,
  ): Promise<Answer> {
    const url = new URL(`${repositoryUrl(this.#endpoint, this.#reference.repository)}/${path}`)
    const send = () =>
      this.#http.request(url, {
        ...ask,
        ...ownHeaders(this.#authorization),
        signal,
      })
    const answer = await send()
    if (answer.status !== 401) return answer
    const authorization = await this.#authorize(answer, signal)
    if (authorization === undefined) return answer
    answer.body.destroy()
    this.#authorization = authorization
    return send()
  }

  /** What the registry asks for in its answer; undefined when we have no such thing. */
  async #authorize({ headers, url }: Answer, signal: AbortSignal): Promise<string | undefined> {
    const challenges = parseChallenges(headers['www-authenticate'] ?? '')
    const credential = credentialFor(this.#credentials, this.#endpoint.host)
    const bearer = challenges.find(({ scheme }) => scheme === 'bearer')?.parameters
    if (bearer) return this.#token(bearer, url, credential && basic(credential), signal)
    return credential && challenges.some(({ scheme }) => scheme === 'basic') ? basic(credential) : undefined
  }

  /** Gets a token from the service that the registry names. */
  async #token(
    parameters: ReadonlyMap<string, string>,
    from: URL,
    authorization: string | undefined,
    signal: AbortSignal,
  ): Promise<string> {
    const realm = URL.parse(parameters.get('realm') ?? '')
    const isAllowed = realm?.protocol === 'https:' || (realm?.protocol === 'http:' && from.protocol === 'http:')
    if (!realm || !isAllowed)
      throw new Fault('Forbidden', `${from.host} names no service for tokens that may be asked (realm)`)
    for (const name of ['service', 'scope']) {
      const value = parameters.get(name)
      if (value !== undefined) realm.searchParams.set(name, value)
    }
    const answer = await this.#http.request(realm, { ...ownHeaders(authorization), signal })
    if (answer.status !== 200) {
      answer.body.destroy()
      throw statusFault(`A token for ${this.#what()}`, answer.status)
    }
    const body = parsedJson((await smallBodyOf(answer, maxAnswerBytes, signal)).toString())
    const { token, access_token } = isObject(body) ? body : {}
    const text = token ?? access_token
    // It becomes a header.
    if (typeof text === 'string' && /^[\x21-\x7e]+$/.test(text)) return `Bearer ${text}`
    throw new Fault('Unavailable', `${nameOf(realm)} answered without a token`)
  }

  /** What a registry's refusal means: its status, and its own code if there is one. */
  async #refusal(answer: Answer, signal: AbortSignal): Promise<Fault> {
    const body = await smallBodyOf(answer, maxAnswerBytes, signal).catch(() => Buffer.alloc(0))
    const code = codeOf(body.toString())
    const isAbsent = code !== undefined && absent.has(code)
    const where = this.#endpoint.isMirror ? ` at the mirror ${this.#endpoint.host}` : ''
    // Docker Hub and others hide private repositories behind 401.
    return statusFault(`${this.#what()}${where}`, isAbsent ? 404 : answer.status, code)
  }
}

/** Codes of the distribution specification that mean there is no such thing. */
const absent: ReadonlySet<string> = new Set(['MANIFEST_UNKNOWN', 'NAME_UNKNOWN', 'BLOB_UNKNOWN', 'NAME_INVALID'])

function codeOf(text: string): string | undefined {
  const json = parsedJson(text)
  const errors = isObject(json) && isList(json.errors) ? json.errors : []
  const first = errors.find(isObject)?.code
  return typeof first === 'string' && /^[A-Z_]{1,40}$/.test(first) ? first : undefined
}

function ownHeaders(authorization: string | undefined): Pick<Ask, 'ownHeaders'> {
  return authorization === undefined ? {} : { ownHeaders: { authorization } }
}
