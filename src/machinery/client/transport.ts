/** A request on its way to a server; `path` has its query, `body` is text already. */
export type Outgoing = Readonly<{
  method: string
  path: string
  headers: Readonly<Record<string, string>>
  body?: string
  /** Longest time without a byte of the answer, milliseconds. */
  silenceMs: number
  signal?: AbortSignal
}>

/** The head of an answer, and its body as text, piece by piece. A reader that stops early closes it. */
export type Incoming = Readonly<{
  code: number
  /** @throws Fault Unavailable when the connection breaks (`data.isCut`: by the other end), Timeout after silence, Aborted */
  pieces: AsyncIterable<string>
}>

/**
 * How requests reach one server: over Node's sockets (machinery/client-node), a browser's fetch, or a test's fake.
 * Implementations own connections, credentials and trust, and do not know the requests' meaning.
 */
export interface Transport {
  /** Where the server is, for messages: `https://HOST:PORT`. */
  readonly server: string
  /** Resolves when the answer's head has come, whatever its code. @throws Fault Unavailable, Timeout, Aborted, Invalid */
  send(request: Outgoing): Promise<Incoming>
}
