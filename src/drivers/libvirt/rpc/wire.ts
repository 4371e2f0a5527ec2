import { malformed } from './xdr.ts'

/** libvirt's own limit for one message, length included. */
export const maxMessageBytes = 32 * 1024 * 1024 + 4

/** Length word and six header words. */
const headerBytes = 28

/** The programs that share a connection. */
export const program = { remote: 0x20008086, qemu: 0x20008087, keepalive: 0x6b656570 } as const

/** Every program is at its first version, and has been since 2009. */
const version = 1

/** Types of frames. Streams are not used. */
export const frameType = { call: 0, reply: 1, message: 2, stream: 3 } as const

/** Status of a reply. */
export const frameStatus = { ok: 0, error: 1, continue: 2 } as const

/** The header of a frame. */
export type Header = Readonly<{ program: number; procedure: number; type: number; serial: number; status: number }>

/** One message: its header and its undecoded body. */
export type Frame = Readonly<{ header: Header; body: Buffer }>

/** The bytes of one message. */
export function encodeFrame(header: Header, body: Uint8Array): Buffer {
  const length = headerBytes + body.length
  if (length > maxMessageBytes) throw malformed(`${length} bytes to send`)
  const bytes = Buffer.alloc(length)
  const words = [length, header.program, version, header.procedure, header.type, header.serial, header.status]
  words.forEach((word, i) => {
    bytes.writeUInt32BE(word, i * 4)
  })
  bytes.set(body, headerBytes)
  return bytes
}

/** Assembles frames from the chunks of a socket. */
export class FrameReader {
  #pieces: Buffer[] = []
  #available = 0

  /**
   * The frames that are complete now.
   * @throws Fault Unavailable for an impossible length; nothing after it can be read.
   */
  push(piece: Buffer): Frame[] {
    this.#pieces.push(piece)
    this.#available += piece.length
    const frames: Frame[] = []
    for (let frame = this.#next(); frame; frame = this.#next()) frames.push(frame)
    return frames
  }

  #next(): Frame | undefined {
    if (this.#available < 4) return undefined
    const length = this.#peekLength()
    if (length < headerBytes || length > maxMessageBytes) throw malformed(`a length of ${length} bytes`)
    if (this.#available < length) return undefined
    const all = this.#joined()
    const rest = all.subarray(length)
    this.#pieces = rest.length > 0 ? [rest] : []
    this.#available = rest.length
    return decodeFrame(all.subarray(0, length))
  }

  /** Joins chunks only if the first one is shorter than the length word, so that a large message is copied once. */
  #peekLength(): number {
    const first = this.#pieces[0]
    return (first && first.length >= 4 ? first : this.#joined()).readUInt32BE(0)
  }

  #joined(): Buffer {
    const [first, ...more] = this.#pieces
    const all = first && more.length === 0 ? first : Buffer.concat(this.#pieces)
    this.#pieces = [all]
    return all
  }
}

function decodeFrame(bytes: Buffer): Frame {
  const word = (i: number) => bytes.readUInt32BE(i * 4)
  if (word(2) !== version) throw malformed(`version ${word(2)} of program ${word(1).toString(16)}`)
  return {
    header: { program: word(1), procedure: word(3), type: word(4), serial: word(5), status: word(6) },
    body: bytes.subarray(headerBytes),
  }
}
