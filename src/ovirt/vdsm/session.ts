import { isUtf8 } from 'node:buffer'
import { explain, faultKind } from '#base/fault.ts'
import type { Log } from '#base/log.ts'
import type { ConnectionUse } from '#machinery/http/connections.ts'
import type { Limits } from '#machinery/http/limits.ts'
import type { Caller } from '#machinery/http/shares.ts'
import type { StreamConnection } from '#machinery/http/stream-listener.ts'
import { protocol, RpcError } from './errors.ts'
import { type Frame, FrameError, FrameReader, frameBytes } from './frames.ts'
import { beatsOf } from './heart-beat.ts'
import { refusedBody } from './rpc.ts'

/** Where requests are sent to. */
const requestsDestination = 'jms.topic.vdsm_requests'
/** Most requests of a connection under way; the next ones are not read before one of them is answered. */
const maxUnderWay = 32
const maxSubscriptions = 64
/** Time for the last frame of a connection to be read, milliseconds. */
const goodbyeMs = 1000

export type SessionOptions = Readonly<{
  connection: StreamConnection
  caller: Caller
  limits: Limits
  /** Answers a body of JSON-RPC; resolves to undefined where no answer is wanted. Never rejects. */
  answer: (body: string, correlationId: string | undefined) => Promise<string | undefined>
  log: Log
}>

/** What is wrong with a frame as such: it ends the connection. */
class Refusal extends Error {
  override readonly name = 'Refusal'
}

/**
 * STOMP 1.2 over one connection: `CONNECT`, then requests to one destination, answered to the subscriptions of their `reply-to`.
 * Whatever is wrong with frames ends this connection, with an ERROR frame. A request that has begun is carried out even if its
 * client leaves.
 */
export class Session {
  readonly #options: SessionOptions
  readonly #reader: FrameReader
  readonly #subscriptions = new Map<string, string>()
  readonly #todo: Frame[] = []
  readonly #timers = new Set<NodeJS.Timeout>()
  #isConnected = false
  #isOver = false
  #isFull = false
  #underWay = 0
  /** Bytes of bodies that wait. */
  #waitingBytes = 0
  #held: Disposable | undefined
  #messages = 0
  #heardMs = performance.now()
  /** Ends a connection whose frame under way takes too long. */
  #late: NodeJS.Timeout | undefined
  /** Ends a connection that does not take what it is sent. */
  #stuck: NodeJS.Timeout | undefined
  /** The DISCONNECT that the connection ends with once everything before it is answered. */
  #leaving: Frame | undefined

  constructor(options: SessionOptions) {
    this.#options = options
    const { headerBytes, requestBytes } = options.limits
    this.#reader = new FrameReader({ headerBytes, bodyBytes: requestBytes })
  }

  /** Serves the connection until it ends. */
  start(): void {
    const { connection, limits } = this.#options
    const { socket } = connection
    socket.setNoDelay(true)
    // It counts as its user's from the first.
    this.#use().ended()
    socket.once('close', () => this.#close())
    socket.on('drain', () => {
      this.#isFull = false
      this.#cancel(this.#stuck)
      this.#work()
    })
    socket.on('data', (piece) => this.#read(piece))
    this.#after(limits.headerTimeoutMs, () => {
      if (!this.#isConnected) this.#fail('there was no CONNECT in time')
    })
  }

  #read(piece: Buffer): void {
    if (this.#isOver || this.#leaving) return
    this.#heardMs = performance.now()
    this.#use().ended()
    this.#attempt(() => {
      const frames = this.#reader.push(piece)
      for (const frame of frames) {
        this.#waitingBytes += frame.body.length
        this.#todo.push(frame)
      }
      this.#hold()
      this.#expectRest(frames.length > 0)
    })
    this.#work()
  }

  /** A frame that has begun has to end in time, however many pieces it comes in. */
  #expectRest(isNext: boolean): void {
    if (isNext) this.#late = this.#cancel(this.#late)
    if (!this.#reader.pendingBytes) return
    this.#late ??= this.#after(this.#options.limits.requestTimeoutMs, () => this.#fail('a frame did not end in time'))
  }

  #use(): ConnectionUse {
    const use = this.#options.connection.begin()
    use.isOf(this.#options.caller)
    return use
  }

  /** Counts what is held in memory for the client. @throws Fault TooMany */
  #hold(): void {
    this.#held?.[Symbol.dispose]()
    const bytes = this.#reader.pendingBytes + this.#waitingBytes
    this.#held = this.#options.connection.capacity.bodyBytes.take(this.#options.caller, bytes)
  }

  /** Handles what has been read, as far as there is room; the rest is not even read meanwhile. */
  #work(): void {
    const { socket } = this.#options.connection
    if (this.#isOver) return
    while (!this.#isBusy() && !this.#isOver && !this.#leaving) {
      const frame = this.#todo.shift()
      if (!frame) break
      this.#waitingBytes -= frame.body.length
      this.#attempt(() => this.#handle(frame), frame)
    }
    if (this.#isOver) return
    this.#attempt(() => this.#hold())
    if (this.#leaving && !this.#underWay) this.#leave(this.#leaving)
    else if (this.#todo.length || this.#isBusy()) socket.pause()
    else socket.resume()
  }

  #isBusy(): boolean {
    return this.#underWay >= maxUnderWay || this.#isFull
  }

  #attempt(work: () => void, frame?: Frame): void {
    try {
      work()
    } catch (error) {
      const isKnown = error instanceof FrameError || error instanceof Refusal || faultKind(error) === 'TooMany'
      if (isKnown) this.#fail(explain(error), frame)
      else {
        this.#options.log.error({ cause: explain(error) }, 'Connection of the VDSM door failed by a bug')
        this.#options.connection.socket.destroy()
      }
    }
  }

  #handle(frame: Frame): void {
    const { command, headers } = frame
    const isConnect = command === 'CONNECT' || command === 'STOMP'
    if (!isConnect && !this.#isConnected) throw new Refusal(`${command} came before CONNECT`)
    if (headers.has('transaction')) throw new Refusal('transactions are not supported')
    switch (command) {
      case 'CONNECT':
      case 'STOMP':
        this.#connect(headers)
        // Its answer is CONNECTED.
        return
      case 'SUBSCRIBE':
        this.#subscribe(headers)
        break
      case 'UNSUBSCRIBE':
        this.#subscriptions.delete(required(frame, 'id'))
        break
      case 'SEND':
        this.#send(frame)
        break
      case 'DISCONNECT':
        this.#leaving = frame
        return
      case 'ACK':
      case 'NACK':
        // Messages are not sent again.
        break
      default:
        throw new Refusal(`${command} is not supported`)
    }
    this.#acknowledge(headers)
  }

  #connect(headers: Frame['headers']): void {
    if (this.#isConnected) throw new Refusal('the connection is connected already')
    const versions = headers.get('accept-version')?.split(',') ?? []
    if (!versions.includes('1.2')) throw new Refusal('the version of the protocol is 1.2, which accept-version lacks')
    const beats = beatsOf(headers.get('heart-beat'))
    if (!beats) throw new Refusal('heart-beat is not two numbers of milliseconds')
    this.#isConnected = true
    const beat = `${beats.sendMs},${beats.expectMs}`
    this.#write(frameBytes('CONNECTED', { version: '1.2', server: 'patchbay', 'heart-beat': beat }))
    // Timers are late now and then, and so are networks.
    if (beats.sendMs) this.#every(beats.sendMs / 2, () => this.#beat())
    if (beats.expectMs) this.#every(beats.expectMs, () => this.#expectBeat(beats.expectMs))
  }

  #beat(): void {
    if (!this.#isFull) this.#write(Buffer.from('\n'))
  }

  #expectBeat(ms: number): void {
    // What is not read because requests are under way is not missing.
    if (!this.#isBusy() && performance.now() - this.#heardMs > 2 * ms) this.#fail('no heart-beat came in time')
  }

  #subscribe(headers: Frame['headers']): void {
    const id = headers.get('id')
    const destination = headers.get('destination')
    if (!id || !destination) throw new Refusal('SUBSCRIBE needs the headers id and destination')
    if (this.#subscriptions.has(id)) throw new Refusal(`the subscription ${id} is there already`)
    if (this.#subscriptions.size >= maxSubscriptions) throw new Refusal(`there are ${maxSubscriptions} subscriptions`)
    this.#subscriptions.set(id, destination)
  }

  #send(frame: Frame): void {
    const destination = required(frame, 'destination')
    if (destination !== requestsDestination) throw new Refusal(`nothing is served at the destination ${destination}`)
    const replyTo = required(frame, 'reply-to')
    this.#underWay++
    void this.#answer(frame, replyTo)
  }

  async #answer({ headers, body }: Frame, replyTo: string): Promise<void> {
    const use = this.#use()
    const text = await this.#answerOf(body, headers.get('ovirtCorrelationId'))
    use.ended()
    this.#underWay--
    if (this.#isOver) return
    if (text !== undefined) this.#reply(replyTo, text)
    this.#work()
  }

  async #answerOf(body: Buffer, correlationId: string | undefined): Promise<string | undefined> {
    const { connection, caller, answer } = this.#options
    const { requests, bodyBytes } = connection.capacity
    try {
      using _place = requests.take(caller, 1)
      using _room = bodyBytes.take(caller, body.length)
      // What is no UTF-8 is no JSON.
      return await answer(isUtf8(body) ? body.toString() : '', correlationId)
    } catch (error) {
      const reason = faultKind(error) === 'TooMany' ? explain(error) : undefined
      return refusedBody(new RpcError(protocol.internal, reason))
    }
  }

  #reply(destination: string, text: string): void {
    for (const [subscription, of] of this.#subscriptions) {
      if (of !== destination) continue
      const id = String(++this.#messages)
      const headers = { destination, subscription, 'message-id': id, 'content-type': 'application/json' }
      this.#write(frameBytes('MESSAGE', headers, text))
    }
  }

  #acknowledge(headers: Frame['headers']): void {
    const receipt = headers.get('receipt')
    if (receipt !== undefined) this.#write(frameBytes('RECEIPT', { 'receipt-id': receipt }))
  }

  #leave({ headers }: Frame): void {
    this.#acknowledge(headers)
    this.#end()
  }

  #fail(message: string, frame?: Frame): void {
    if (this.#isOver) return
    const receipt = frame?.headers.get('receipt')
    const headers = {
      version: '1.2',
      message,
      'content-type': 'text/plain',
      ...(receipt !== undefined && { 'receipt-id': receipt }),
    }
    this.#write(frameBytes('ERROR', headers, message))
    this.#end()
  }

  #end(): void {
    const { socket } = this.#options.connection
    this.#isOver = true
    this.#todo.length = 0
    // A client that does not close has the time to read.
    socket.end(() => void setTimeout(() => socket.destroy(), goodbyeMs).unref())
    // What it still sends is not kept.
    socket.resume()
  }

  #write(bytes: Buffer): void {
    const { connection, caller, limits } = this.#options
    const { socket, capacity } = connection
    if (this.#isOver || socket.destroyed) return
    let held: Disposable
    try {
      held = capacity.answerBytes.take(caller, bytes.length)
    } catch {
      // It does not read: an ERROR frame would not be either.
      socket.destroy()
      return
    }
    const isTaken = socket.write(bytes, () => held[Symbol.dispose]())
    if (isTaken || this.#isFull) return
    this.#isFull = true
    this.#stuck = this.#after(limits.requestTimeoutMs, () => socket.destroy())
  }

  #after(ms: number, work: () => void): NodeJS.Timeout {
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      work()
    }, ms).unref()
    this.#timers.add(timer)
    return timer
  }

  #cancel(timer: NodeJS.Timeout | undefined): undefined {
    if (!timer) return
    clearTimeout(timer)
    this.#timers.delete(timer)
  }

  #every(ms: number, work: () => void): void {
    this.#timers.add(setInterval(work, ms).unref())
  }

  #close(): void {
    this.#isOver = true
    this.#held?.[Symbol.dispose]()
    this.#held = undefined
    for (const timer of this.#timers) clearTimeout(timer)
  }
}

/** @throws Refusal */
function required({ command, headers }: Frame, name: string): string {
  const value = headers.get(name)
  if (!value) throw new Refusal(`${command} needs the header ${name}`)
  return value
}
