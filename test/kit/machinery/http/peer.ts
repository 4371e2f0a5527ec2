import { WebSocket } from 'ws'
import { eventually } from '#base/wait.ts'

export type Keys = Readonly<{ ca: string; cert?: string; key?: string }>

type Opening = Readonly<{ protocols?: readonly string[]; headers?: Record<string, string> }>

/** A refusal before the upgrade. */
export type Refused = Readonly<{ code: number; text: string }>

/** A raw client of a channel: what came, and how it ended. */
export class Peer implements AsyncDisposable {
  readonly socket: WebSocket
  #bytes = Buffer.alloc(0)
  /** The messages that came, each on its own. */
  readonly messages: Buffer[] = []
  /** Undefined while it is open. */
  end: Readonly<{ code: number; reason: string }> | undefined

  private constructor(socket: WebSocket) {
    this.socket = socket
    socket.on('message', (data: Buffer) => {
      this.messages.push(data)
      this.#bytes = Buffer.concat([this.#bytes, data])
    })
    socket.on('error', () => undefined)
    socket.on('close', (code, reason) => {
      this.end = { code, reason: reason.toString() }
    })
  }

  /** @throws Refused */
  static open(port: number, path: string, keys: Keys, { protocols = [], headers = {} }: Opening = {}): Promise<Peer> {
    const socket = new WebSocket(`wss://127.0.0.1:${port}${path}`, [...protocols], { ...keys, headers })
    const peer = new Peer(socket)
    return new Promise((resolve, reject) => {
      socket.once('open', () => resolve(peer))
      socket.once('error', reject)
      socket.once('unexpected-response', (_request, response) => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (chunk: string) => {
          text += chunk
        })
        response.on('end', () => reject({ code: response.statusCode ?? 0, text } satisfies Refused))
      })
    })
  }

  /** How opening is refused. */
  static async refusal(...how: Parameters<typeof Peer.open>): Promise<Refused> {
    try {
      const peer = await Peer.open(...how)
      peer.socket.terminate()
    } catch (error) {
      if (error instanceof Error) throw error
      return error as Refused
    }
    throw new Error('it was opened')
  }

  get text(): string {
    return this.#bytes.toString()
  }

  get byteLength(): number {
    return this.#bytes.length
  }

  /** Waits until all that came matches. */
  async sees(what: RegExp, deadlineMs = 30_000): Promise<void> {
    await eventually(
      `${what} comes`,
      () => {
        if (this.end)
          throw new Error(`it ended with ${this.end.code} ${this.end.reason} after ${this.text.slice(-500)}`)
        if (what.test(this.text)) return true
        throw new Error(`so far: ${JSON.stringify(this.text.slice(-500))}`)
      },
      { deadlineMs, everyMs: 5 },
    )
  }

  async ends(): Promise<Readonly<{ code: number; reason: string }>> {
    return eventually('it ends', () => this.end)
  }

  type(text: string): void {
    this.socket.send(Buffer.from(text))
  }

  close(): void {
    this.socket.terminate()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close()
    await this.ends()
  }
}
