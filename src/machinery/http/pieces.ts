import { Fault } from '#base/fault.ts'
import type { Parts } from './exchange.ts'

/** Passes on a body piece by piece. Over HTTP/1.1 and HTTP/2 the client sends no more than is read. */
export async function* pieces(
  { request, response, limits, isWaiting }: Parts,
  hasBody: boolean,
  cut: () => void,
): AsyncGenerator<Buffer> {
  if (!hasBody) return
  if (isWaiting) response.writeContinue()
  // Leaving the loop must not destroy the connection, and with it the answer.
  const reading = request.iterator({ destroyOnReturn: false })[Symbol.asyncIterator]()
  try {
    for (;;) {
      const timer = setTimeout(cut, limits.requestTimeoutMs)
      const { value, done } = await reading.next().finally(() => clearTimeout(timer))
      if (done) break
      yield value
    }
  } catch (cause) {
    throw new Fault('Aborted', 'the client left before all of its request had arrived', { cause })
  } finally {
    await reading.return?.()
  }
  if (!request.complete) throw new Fault('Aborted', 'the client left before all of its request had arrived')
}
