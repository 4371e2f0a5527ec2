import type { HttpClient } from '#machinery/client/http-client.ts'

/** Where a command prints: lines are its output, notes report progress. */
export type Print = Readonly<{ line(text: string): void; note(text: string): void }>

/** What every client command works with. */
export type Context = Readonly<{ client: HttpClient; namespace: string; print: Print }>

/** Signals by which the user ends a command early. */
export type Interrupts = Readonly<{
  /** Aborts at the first signal; its reason is the ExitError of the command. */
  signal: AbortSignal
  /** Called for every signal after the first. */
  onRepeat(listener: () => void): void
}>

/** Ends a command with an exit code and only this text on standard error. */
export class ExitError extends Error {
  override readonly name = 'ExitError'
  readonly code: number

  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}
