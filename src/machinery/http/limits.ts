import { Fault } from '#base/fault.ts'

/** What one client, or all of them together, may use of the server. Each has an option of `patchbay up`. */
export type Limits = Readonly<{
  /** Open connections; beyond them, the least deserving one is closed for each new one. */
  connections: number
  /** Requests in flight, watches apart; more are answered 429 (kube-apiserver's option of this name). */
  maxRequestsInflight: number
  /** Watches open at once; more are answered 429. */
  watches: number
  /** Streams a client may have open on one HTTP/2 connection (kube-apiserver's option of this name). */
  http2MaxStreamsPerConnection: number
  /** Part of connections, requests, watches and memory that one user may take, percent. */
  userShare: number
  /** Largest request body, bytes (Kubernetes: 3 MiB). */
  requestBytes: number
  /** Largest header of a request, bytes. */
  headerBytes: number
  /** Request bodies held in memory at once, bytes; more are answered 429. */
  bodyMemoryBytes: number
  /** Answers held in memory because their readers are slow, bytes; more are answered 429. */
  answerMemoryBytes: number
  /** Time for a request to arrive, for its answer to be made, and for a reader to read it, milliseconds. */
  requestTimeoutMs: number
  /** Time for the TLS handshake and for the header of a request to arrive, milliseconds. */
  headerTimeoutMs: number
  /** Time a signed-in user's connection may be idle, milliseconds. */
  idleTimeoutMs: number
}>

const MiB = 1024 * 1024

/** Generous for people and scripts, and small enough for a server of 150 MB. */
export const defaultLimits: Limits = {
  connections: 4096,
  maxRequestsInflight: 400,
  watches: 10_000,
  http2MaxStreamsPerConnection: 250,
  userShare: 25,
  requestBytes: 3 * MiB,
  headerBytes: 64 * 1024,
  bodyMemoryBytes: 64 * MiB,
  answerMemoryBytes: 128 * MiB,
  requestTimeoutMs: 60_000,
  headerTimeoutMs: 10_000,
  idleTimeoutMs: 180_000,
}

/** The answer of `work`, if it comes in time. @throws Fault Timeout in Kubernetes' words; `work` goes on, its answer is dropped */
export async function inTime<T>(ms: number, work: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(
    () =>
      late.reject(
        new Fault(
          'Timeout',
          'the server was unable to return a response in the time allotted, but may still be processing the request',
        ),
      ),
    ms,
  )
  try {
    return await Promise.race([work, late.promise])
  } finally {
    clearTimeout(timer)
  }
}
