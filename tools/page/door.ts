import {
  type ClientHttp2Session,
  connect,
  createSecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from 'node:http2'
import type { AddressInfo, Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'

/** Serves files of the page. False when the request is none for the page. */
type ServePage = (request: Http2ServerRequest, response: Http2ServerResponse) => boolean

export type DoorOptions = Readonly<{
  /** Port of the door; 0 for any. */
  port: number
  tls: Readonly<{ cert: string; key: string }>
  page: ServePage
}>

/** What a request may not carry over to another connection. */
const ownHeaders = new Set(['host', 'connection', 'keep-alive', 'transfer-encoding', 'upgrade', 'http2-settings', 'te'])

/**
 * A door in front of an API server that adds a page to it: on the same origin, over HTTP/2, so that many watches fit beside
 * each other. For development and tests.
 */
export class Door implements AsyncDisposable {
  readonly #server: ReturnType<typeof createSecureServer>
  readonly #sockets = new Set<Socket>()
  #session: ClientHttp2Session | undefined
  #target: number | undefined

  private constructor(server: ReturnType<typeof createSecureServer>) {
    this.#server = server
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
      socket.on('error', () => {})
    })
    server.on(
      'upgrade',
      (request: { url: string; rawHeaders: string[]; method: string }, socket: Socket, head: Buffer) =>
        this.#tunnel(request, socket, head),
    )
  }

  static async open({ port, tls, page }: DoorOptions): Promise<Door> {
    const server = createSecureServer({ ...tls, allowHTTP1: true })
    const door = new Door(server)
    server.on('request', (request, response) => {
      if (!page(request, response)) door.#forward(request, response)
    })
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
    return door
  }

  get port(): number {
    // A server that listens on a port has an address of that kind.
    return (this.#server.address() as AddressInfo).port
  }

  /** Port of the API server; undefined cuts all that is open, and refuses what comes. */
  set target(port: number | undefined) {
    this.#target = port
    this.#session?.destroy()
    this.#session = undefined
    if (port === undefined) for (const socket of this.#sockets) socket.destroy()
  }

  #to(): ClientHttp2Session | undefined {
    if (this.#target === undefined) return undefined
    if (!this.#session || this.#session.destroyed || this.#session.closed) {
      this.#session = connect(`https://127.0.0.1:${this.#target}`, { rejectUnauthorized: false })
      this.#session.on('error', () => {})
    }
    return this.#session
  }

  #forward(request: Http2ServerRequest, response: Http2ServerResponse): void {
    const session = this.#to()
    const cut = () => {
      if (response.stream) response.stream.destroy()
      else response.socket?.destroy()
    }
    if (!session) {
      cut()
      return
    }
    const headers = Object.fromEntries(
      Object.entries(request.headers).filter(([name]) => !name.startsWith(':') && !ownHeaders.has(name)),
    )
    const stream = session.request(
      { ...headers, ':method': request.method, ':path': request.url },
      { endStream: request.method === 'GET' || request.method === 'HEAD' },
    )
    stream.on('error', cut)
    stream.on('response', (answer) => {
      for (const [name, value] of Object.entries(answer))
        if (!name.startsWith(':') && value !== undefined) response.setHeader(name, value)
      response.writeHead(answer[':status'] ?? 502)
      stream.pipe(response)
    })
    stream.on('close', () => response.writableEnded || cut())
    response.on('close', () => stream.close())
    if (!stream.writableEnded) request.pipe(stream)
  }

  #tunnel(request: { url: string; rawHeaders: string[]; method: string }, socket: Socket, head: Buffer): void {
    if (this.#target === undefined) {
      socket.destroy()
      return
    }
    const to = connectTls({
      port: this.#target,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      ALPNProtocols: ['http/1.1'],
    })
    const lines = []
    for (let i = 0; i < request.rawHeaders.length; i += 2)
      lines.push(`${request.rawHeaders[i]}: ${request.rawHeaders[i + 1]}`)
    to.write(`${request.method} ${request.url} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`)
    to.write(head)
    socket.pipe(to).pipe(socket)
    socket.on('error', () => to.destroy())
    to.on('error', () => socket.destroy())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.target = undefined
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }
}
