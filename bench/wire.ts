import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { connect, type TLSSocket } from 'node:tls'
import type { Stage } from '../tools/stage/stage.ts'

/**
 * One warm connection that speaks just enough HTTP/1.1 to send a request and see the answer's code. Node's own client costs
 * as much CPU as the server, which on a small machine would be what is measured.
 */
export class Wire {
  readonly #socket: TLSSocket
  #received: Buffer = Buffer.alloc(0)
  #answered: PromiseWithResolvers<number> | undefined

  private constructor(socket: TLSSocket) {
    this.#socket = socket
    socket.setNoDelay()
    socket.on('data', (chunk: Buffer) => this.#take(chunk))
    const fail = () => this.#answered?.reject(new Error('the server closed the connection'))
    socket.on('error', fail).on('close', fail)
  }

  static async open(stage: Stage): Promise<Wire> {
    const [ca, cert, key] = await Promise.all(
      ['ca.crt', 'admin.crt', 'admin.key'].map((name) => readFile(`${stage.dir}/pki/${name}`)),
    )
    const socket = connect({ host: '127.0.0.1', port: 7443, ca: ca!, cert: cert!, key: key! })
    await once(socket, 'secureConnect')
    return new Wire(socket)
  }

  /** Sends a request; resolves to the code of the answer, once all of it is there. One at a time. */
  patch(path: string, type: string, body: unknown): Promise<number> {
    if (this.#socket.destroyed) return Promise.reject(new Error('the server has closed the connection'))
    const text = JSON.stringify(body)
    const head = `PATCH ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: ${type}\r\ncontent-length: ${Buffer.byteLength(text)}`
    this.#answered = Promise.withResolvers()
    this.#socket.write(`${head}\r\n\r\n${text}`)
    return this.#answered.promise
  }

  close(): void {
    this.#socket.destroy()
  }

  #take(chunk: Buffer): void {
    this.#received = this.#received.length ? Buffer.concat([this.#received, chunk]) : chunk
    const end = this.#received.indexOf('\r\n\r\n')
    if (end < 0) return
    const head = this.#received.toString('latin1', 0, end)
    const length = Number(/content-length: (\d+)/i.exec(head)?.[1])
    if (this.#received.length < end + 4 + length) return
    this.#received = Buffer.alloc(0)
    this.#answered?.resolve(Number(head.slice(9, 12)))
  }
}
