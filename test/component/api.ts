import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { type ClientHttp2Session, connect } from 'node:http2'
import { Agent, request } from 'node:https'
import { createInterface } from 'node:readline'
import { eventually } from '#base/wait.ts'
import type { KeyPair } from '#machinery/rest/certificates.ts'

/** Any object, as tests look into it. */
// biome-ignore lint/suspicious/noExplicitAny: tests say what they expect by asserting it
export type Any = any

export type Answer = Readonly<{ code: number; headers: IncomingHttpHeaders; bytes: Buffer; text: string; json: Any }>

type Options = Readonly<{ body?: unknown; type?: string; headers?: Record<string, string> }>

/** One line of a watch. */
export type Line = Readonly<{ type: string; object: Any }>

/** The lines of an open watch, as they come. */
export type Watching = Readonly<{
  code: number
  /** The next line; undefined when the server ended the watch. */
  next(): Promise<Line | undefined>
  close(): void
}>

/** Where things are, by kind. */
export const vmsPath = (namespace: string, name = '') =>
  pathOf('apis/kubevirt.io/v1', namespace, 'virtualmachines', name)
export const vmisPath = (namespace: string, name = '') =>
  pathOf('apis/kubevirt.io/v1', namespace, 'virtualmachineinstances', name)
export const podsPath = (namespace: string, name = '') => pathOf('api/v1', namespace, 'pods', name)
export const nadsPath = (namespace: string, name = '') =>
  pathOf('apis/k8s.cni.cncf.io/v1', namespace, 'network-attachment-definitions', name)

function pathOf(root: string, namespace: string, plural: string, name: string): string {
  return `/${root}/namespaces/${namespace}/${plural}${name && `/${name}`}`
}

/** A client that shows the raw answers of the API server. */
export class Api {
  readonly #port: number
  readonly #tls: { ca: string; cert?: string; key?: string }
  readonly #agent: Agent
  readonly #sessions = new Set<ClientHttp2Session>()

  constructor(port: number, ca: string, pair: KeyPair | undefined) {
    this.#port = port
    this.#tls = { ca, ...pair }
    this.#agent = new Agent({ ...this.#tls, keepAlive: true, maxSockets: 32 })
  }

  close(): void {
    this.#agent.destroy()
    for (const session of this.#sessions) session.destroy()
  }

  /** Sends a request; a body that is no text or bytes goes as JSON. */
  async send(method: string, path: string, { body, type, headers = {} }: Options = {}): Promise<Answer> {
    const data = body === undefined || typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body)
    // Node counts the bytes of no DELETE by itself.
    const length = data !== undefined && { 'content-length': String(Buffer.byteLength(data)) }
    const contentType = type ?? (data === undefined ? undefined : 'application/json')
    const response = await this.#open(
      method,
      path,
      { ...(contentType && { 'content-type': contentType }), ...length, ...headers },
      data,
    )
    const bytes = await bytesOf(response)
    const text = bytes.toString()
    return { code: response.statusCode ?? 0, headers: response.headers, bytes, text, json: parsed(text) }
  }

  /** The object at a path; undefined when there is none. */
  async get(path: string): Promise<Any> {
    const { code, json } = await this.send('GET', path)
    if (code === 404) return undefined
    return expect2xx(code, json)
  }

  async list(path: string): Promise<Any[]> {
    const { code, json } = await this.send('GET', path)
    return expect2xx(code, json).items
  }

  async create(path: string, body: unknown): Promise<Any> {
    const { code, json } = await this.send('POST', path, { body })
    return expect2xx(code, json)
  }

  /** A JSON patch, or a merge patch when it is no list. */
  async patch(path: string, body: unknown): Promise<Any> {
    const type = `application/${Array.isArray(body) ? 'json' : 'merge'}-patch+json`
    const { code, json } = await this.send('PATCH', path, { body, type })
    return expect2xx(code, json)
  }

  async delete(path: string): Promise<Any> {
    const { code, json } = await this.send('DELETE', path)
    return expect2xx(code, json)
  }

  /** Waits until the object at a path (undefined while there is none) is as it should be. */
  until(what: string, path: string, isDone: (object: Any) => unknown): Promise<Any> {
    let last: Any
    return eventually(`${what}; last seen: `, async () => {
      last = await this.get(path)
      return Boolean(isDone(last)) && { object: last }
    }).then(
      ({ object }) => object,
      (error: unknown) => {
        throw new Error(`${what}: never; last seen: ${JSON.stringify(last)}`, { cause: error })
      },
    )
  }

  async watch(path: string, headers: Record<string, string> = {}): Promise<Watching> {
    const response = await this.#open('GET', path, headers, undefined)
    return watching(response.statusCode ?? 0, response, () => response.destroy())
  }

  async watch2(path: string): Promise<Watching> {
    const session = connect(`https://127.0.0.1:${this.#port}`, this.#tls)
    this.#sessions.add(session)
    session.on('error', () => undefined)
    const stream = session.request({ ':path': path })
    const code = await new Promise<number>((resolve, reject) => {
      stream.once('response', (headers) => resolve(headers[':status'] ?? 0))
      stream.once('error', reject)
    })
    return watching(code, stream, () => session.destroy())
  }

  #open(
    method: string,
    path: string,
    headers: Record<string, string>,
    body: string | Buffer | undefined,
  ): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const sent = request({ host: '127.0.0.1', port: this.#port, agent: this.#agent, method, path, headers }, resolve)
      sent.on('error', reject)
      sent.end(body)
    })
  }
}

function expect2xx(code: number, json: Any): Any {
  if (code >= 200 && code < 300) return json
  throw new Error(`${code}: ${JSON.stringify(json)}`)
}

function parsed(text: string): Any {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

async function bytesOf(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk)
  return Buffer.concat(chunks)
}

function watching(code: number, stream: NodeJS.ReadableStream, close: () => void): Watching {
  // A watch that is cut has ended like any other.
  stream.on('error', () => undefined)
  const lines = createInterface({ input: stream })[Symbol.asyncIterator]()
  const next = async () => {
    const { value, done } = await lines.next()
    return done ? undefined : (JSON.parse(value) as Line)
  }
  return { code, next, close }
}
