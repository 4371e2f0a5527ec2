import type { HttpClient } from '#machinery/client/http-client.ts'

/** Where a command prints: lines are what was asked for, notes are about how it goes. */
export type Print = Readonly<{ line(text: string): void; note(text: string): void }>

/** What every client command works with. */
export type Context = Readonly<{ client: HttpClient; namespace: string; print: Print }>

/** The user's wish to end a command early. */
export type Interrupts = Readonly<{
  /** Aborts at the first wish; its reason is the ExitError that the command owes. */
  signal: AbortSignal
  /** Hears of every wish after the first. */
  onRepeat(listener: () => void): void
}>

/** The end of a command with an exit code and with nothing but this text on standard error. */
export class ExitError extends Error {
  override readonly name = 'ExitError'
  readonly code: number

  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}
