/** Longest time of a timer, milliseconds: Node fires a longer one at once. */
const maxTimerMs = 2 ** 31 - 1

/** Limits a duration to what a timer can wait. */
export function timerMs(ms: number): number {
  return Math.min(Math.max(0, ms), maxTimerMs)
}
