/** What stands before a message of gRPC: a byte that says whether it is compressed, and four with its length. */
const headBytes = 5

/** A message as gRPC sends it. */
export function frame(message: Uint8Array): Buffer {
  const head = Buffer.alloc(headBytes)
  head.writeUInt32BE(message.length, 1)
  return Buffer.concat([head, message])
}

/** Puts the messages of a stream together again, however it was cut. */
export class Frames {
  #parts: Buffer[] = []
  #length = 0

  /** Takes a chunk and returns the messages that it completes. */
  push(chunk: Buffer): Buffer[] {
    this.#parts.push(chunk)
    this.#length += chunk.length
    const messages: Buffer[] = []
    for (let next = this.#next(); next; next = this.#next()) messages.push(next)
    return messages
  }

  #next(): Buffer | undefined {
    if (this.#length < headBytes) return undefined
    // Joined only when the whole head, and then the whole message, is there: a large one comes in many chunks.
    if ((this.#parts[0]?.length ?? 0) < headBytes) this.#join()
    const size = headBytes + (this.#parts[0]?.readUInt32BE(1) ?? 0)
    if (this.#length < size) return undefined
    const all = this.#join()
    this.#parts = [all.subarray(size)]
    this.#length -= size
    return all.subarray(headBytes, size)
  }

  #join(): Buffer {
    const [only] = this.#parts
    const all = this.#parts.length === 1 && only ? only : Buffer.concat(this.#parts)
    this.#parts = [all]
    return all
  }
}
