import { ExitError, type Interrupts } from '#cli/context.ts'

/** Signals that ask a command to end, with their numbers: the exit code is that of a process killed by one. */
const numbers = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const
const brokenPipe = 13

/** Handles signals, and a closed pipe on our output, which would otherwise end the process at once. */
export function hearInterrupts(): Interrupts {
  const stop = new AbortController()
  const listeners: (() => void)[] = []
  const interrupt = (number: number, why: string) => {
    if (!stop.signal.aborted) return stop.abort(new ExitError(128 + number, why))
    for (const listener of listeners) listener()
  }
  for (const [name, number] of Object.entries(numbers))
    process.on(name, () => interrupt(number, `Ended early by ${name}`))
  process.stdout.on('error', () =>
    stop.abort(new ExitError(128 + brokenPipe, 'Ended early: the output is no longer read')),
  )
  process.stderr.on('error', () => undefined)
  return { signal: stop.signal, onRepeat: (listener) => listeners.push(listener) }
}
