/** Least interval of heart-beats, milliseconds. */
const leastMs = 1000

/** The heart-beats of a connection as its server has them, intervals in milliseconds; 0 for none. */
export type Beats = Readonly<{ sendMs: number; expectMs: number }>

/**
 * What a server agrees to when a client says how often it can send something and how often it wants to hear something. Undefined
 * for a header that says neither.
 */
export function beatsOf(header = '0,0'): Beats | undefined {
  const [, sends, wants] = /^(\d{1,9}),(\d{1,9})$/.exec(header) ?? []
  if (sends === undefined || wants === undefined) return undefined
  return { sendMs: atLeast(Number(wants)), expectMs: atLeast(Number(sends)) }
}

function atLeast(ms: number): number {
  return ms && Math.max(ms, leastMs)
}
