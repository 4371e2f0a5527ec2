import { pino } from 'pino'

/** Fields on every line of a child logger: `{controller, object, pass}`. */
export type LogFields = Record<string, unknown>

/** The part of a logger the product uses. Messages are constant sentences without a full stop; variables are fields. */
export interface Log {
  debug(fields: LogFields, message: string): void
  info(fields: LogFields, message: string): void
  warn(fields: LogFields, message: string): void
  error(fields: LogFields, message: string): void
  child(fields: LogFields): Log
}

/** A logger that writes JSON lines to standard error, synchronously: the last lines of a dying process must not be lost. */
export function makeLog(level: string = process.env.PATCHBAY_LOG ?? 'info'): Log {
  return pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ dest: 2, sync: true }),
  )
}

/** Drops everything; for tests that do not read the log. */
export const silent: Log = { debug: drop, info: drop, warn: drop, error: drop, child: () => silent }
function drop(): void {}
