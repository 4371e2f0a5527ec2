import { delay } from '#base/wait.ts'

/** Interval of a watch's bookmarks (Kubernetes: about once a minute), milliseconds. */
const bookmarkMs = 60_000
/** How long before its end a watch gets a last bookmark, milliseconds (Kubernetes). */
const lastBookmarkMs = 2000
/** Time in which a committed change reaches every watch, milliseconds: reading it takes some few. */
const settleMs = 1000

type Progress = Readonly<{
  /** Revision up to which the watch has sent everything. Changes elsewhere do not move it. */
  told: () => number
  /** Newest revision of all. */
  newest: () => number
  /** Resolves when the watch has room for more. */
  tell: (revision: number) => Promise<void>
}>

type Timing = Readonly<{ everyMs?: number; endsInMs?: number | undefined; signal: AbortSignal }>

/**
 * Sends a watch bookmarks periodically, however much or little it sees, and a last one shortly before it ends; one timer per
 * watch. What was the newest revision before a short silence has been sent in full after it.
 */
export async function sendBookmarks({ told, newest, tell }: Progress, timing: Timing): Promise<void> {
  const { everyMs = bookmarkMs, endsInMs = Number.POSITIVE_INFINITY, signal } = timing
  const silenceMs = Math.min(settleMs, everyMs / 2)
  const last = performance.now() + endsInMs - lastBookmarkMs - silenceMs
  while (!signal.aborted) {
    const leftMs = last - performance.now()
    await delay(leftMs > 0 ? Math.min(everyMs - silenceMs, leftMs) : everyMs, signal)
    const [before, upTo] = [told(), newest()]
    await delay(silenceMs, signal)
    await tell(told() === before ? Math.max(before, upTo) : told())
  }
}
