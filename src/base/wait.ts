import { Fault } from './fault.ts'
import { timerMs } from './timer.ts'

/** Resolves after `ms` milliseconds, or rejects at once when the signal aborts. Never keeps a process alive on its own. */
export function delay(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const timer = setTimeout(done, timerMs(ms))
    function done() {
      signal?.removeEventListener('abort', stop)
      resolve()
    }
    function stop() {
      clearTimeout(timer)
      reject(signal?.reason)
    }
    signal?.addEventListener('abort', stop, { once: true })
  })
}

/**
 * Retries until `probe` returns something other than undefined or false.
 * @throws Fault Timeout naming `what` and the last error when the deadline (milliseconds) passes.
 */
export async function eventually<T>(
  what: string,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
  { deadlineMs = 30_000, everyMs = 25, signal }: { deadlineMs?: number; everyMs?: number; signal?: AbortSignal } = {},
): Promise<T> {
  const end = performance.now() + deadlineMs
  let last: unknown
  for (;;) {
    try {
      const value = await probe()
      if (value !== undefined && value !== false) return value
      last = undefined
    } catch (error) {
      last = error
    }
    if (performance.now() >= end)
      throw new Fault('Timeout', `Waited ${deadlineMs} ms in vain: ${what}`, { cause: last })
    await delay(everyMs, signal)
  }
}
