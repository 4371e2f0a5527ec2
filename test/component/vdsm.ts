import { randomUUID } from 'node:crypto'
import { connect, type TLSSocket } from 'node:tls'
import { issue } from '#machinery/rest/certificates.ts'
import type { Any } from './api.ts'
import type { Cluster } from './cluster.ts'

/** A certificate with its key, and the authority that both sides trust. */
export type Keys = Readonly<{ ca: string; cert?: string; key?: string }>

/** What came from the server: a command, its headers as they were written, and a body. */
export type Received = Readonly<{ command: string; headers: Readonly<Record<string, string>>; body: string }>

const deadlineMs = 20_000

/** The certificate of a user of a name, who is in no group. */
export async function keysOf({ authority, keys }: Cluster, name: string): Promise<Keys> {
  const { cert, key } = await issue(authority, { use: 'client', name, groups: [] })
  return { ca: keys.ca, cert, key }
}

/** Parameters of an update of a card. */
export const update = (more: object): object => ({ deviceType: 'interface', ...more })

/** A client of vdsm's API that writes and reads bytes, as `vdsm-client` does. */
export class Vdsm implements Disposable {
  readonly socket: TLSSocket
  /** Everything that came, heart-beats included. */
  text = ''
  #taken = 0
  #isEnded = false
  readonly #reply = randomUUID()

  private constructor(socket: TLSSocket) {
    this.socket = socket
    socket.setEncoding('utf8')
    socket.on('data', (piece: string) => {
      this.text += piece
    })
    socket.on('error', () => undefined)
    socket.once('close', () => {
      this.#isEnded = true
    })
  }

  /** Connects by TLS alone. Where the server wants another certificate, the connection ends. */
  static async open(port: number, keys: Keys): Promise<Vdsm> {
    const socket = connect({ port, host: '127.0.0.1', ...keys })
    const client = new Vdsm(socket)
    await first(socket, ['secureConnect', 'close'])
    return client
  }

  /** Connects as `vdsm-client` does, and subscribes to the answers. */
  static async connect(port: number, keys: Keys, heartBeat = '0,24000'): Promise<Vdsm> {
    const client = await Vdsm.open(port, keys)
    client.write('CONNECT', { 'accept-version': '1.2', 'heart-beat': heartBeat })
    const { command, body } = await client.next()
    if (command !== 'CONNECTED') throw new Error(`${command} ${body}`)
    client.write('SUBSCRIBE', { id: 'sub-1', destination: client.#reply, ack: 'auto' })
    return client
  }

  /** Connects as a user of a name. */
  static async as(cluster: Cluster, name: string): Promise<Vdsm> {
    return Vdsm.connect(cluster.vdsmPort, await keysOf(cluster, name))
  }

  write(command: string, headers: Readonly<Record<string, string>>, body = ''): void {
    const lines = Object.entries(headers).map(([name, value]) => `${name}:${value}\n`)
    this.socket.write(`${command}\n${lines.join('')}\n${body}\0`)
  }

  /** Sends bodies to where requests are served. */
  post(body: string | object, headers: Readonly<Record<string, string>> = {}): void {
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    const all = { destination: 'jms.topic.vdsm_requests', 'reply-to': this.#reply, ...headers }
    this.write('SEND', { ...all, 'content-length': String(Buffer.byteLength(text)) }, text)
  }

  /** The next frame, heart-beats left out. @throws when the connection ends before */
  async next(): Promise<Received> {
    const end = await this.#wait(() => this.#frameEnd())
    const frame = this.text.slice(this.#taken, end).replace(/^\n+/, '')
    this.#taken = end + 1
    const at = frame.indexOf('\n\n')
    const [command = '', ...lines] = frame.slice(0, at).split('\n')
    const headers = Object.fromEntries(lines.map((line) => line.split(/:(.*)/s).slice(0, 2)))
    return { command, headers, body: frame.slice(at + 2) }
  }

  /** Bodies that are JSON have no NUL in them. */
  #frameEnd(): number | undefined {
    const end = this.text.indexOf('\0', this.#taken)
    return end < 0 ? undefined : end
  }

  async #wait<T>(find: () => T | undefined): Promise<T> {
    const signal = AbortSignal.timeout(deadlineMs)
    for (;;) {
      const found = find()
      if (found !== undefined) return found
      if (this.#isEnded) throw new Error(`the connection ended after ${JSON.stringify(this.text.slice(this.#taken))}`)
      await first(this.socket, ['data', 'close'], signal)
    }
  }

  /** Resolves when the server has ended the connection. */
  async ended(): Promise<void> {
    await this.#wait(() => (this.#isEnded ? true : undefined))
  }

  /** Waits until as much text as this has come, frames or not. */
  async hasText(text: string): Promise<void> {
    await this.#wait(() => (this.text.slice(this.#taken).startsWith(text) ? true : undefined))
  }

  /** The whole answer to a request, as `vdsm-client` sends it: in a list, with an id of its own. */
  async answer(method: string, params: object = {}, headers: Readonly<Record<string, string>> = {}): Promise<Any> {
    const id = randomUUID()
    this.post([{ jsonrpc: '2.0', method, params, id }], headers)
    const { command, body, headers: of } = await this.next()
    if (command !== 'MESSAGE') throw new Error(`${command} ${body}`)
    const answer = JSON.parse(body)
    if (answer.id !== id) throw new Error(`${body} is not the answer to ${id}`)
    if (of.destination !== this.#reply || of.subscription !== 'sub-1') throw new Error(JSON.stringify(of))
    return answer
  }

  /** The result of a request. */
  async call(method: string, params: object = {}, headers: Readonly<Record<string, string>> = {}): Promise<Any> {
    const { result, error } = await this.answer(method, params, headers)
    if (error) throw new Error(`${error.code}: ${error.message}`)
    return result
  }

  /** Code and text of a refusal. */
  async refused(method: string, params: object = {}): Promise<[number, string]> {
    const { result, error } = await this.answer(method, params)
    if (!error) throw new Error(`not refused: ${JSON.stringify(result)}`)
    return [error.code, error.message]
  }

  [Symbol.dispose](): void {
    this.socket.destroy()
  }
}

/** Resolves with the first of several events. @throws when the signal aborts before */
async function first(socket: TLSSocket, events: readonly string[], signal?: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const done = () => resolve()
  const late = () => reject(signal?.reason)
  for (const event of events) socket.on(event, done)
  signal?.addEventListener('abort', late)
  try {
    await promise
  } finally {
    for (const event of events) socket.off(event, done)
    signal?.removeEventListener('abort', late)
  }
}
