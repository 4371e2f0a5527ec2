/** Default of `link --wait`. */
const usualWait = '60s'

/**
 * Rewrites arguments of virtctl and kubectl into the form our parser takes: `--force=true` is `--force`, and a bare `--wait`
 * does not take the next word as its value.
 */
export function plainArguments(given: readonly string[]): string[] {
  const end = given.indexOf('--')
  return given.flatMap((text, i) => {
    if (end >= 0 && i >= end) return [text]
    if (text === '--wait') return [`--wait=${usualWait}`]
    const [, flag, value] =
      /^(--(?:force|paused|dry-run|client|stdio|proxy-only|preserve-session|log|recursive|preserve))=(true|false)$/.exec(
        text,
      ) ?? []
    if (flag === undefined) return [text]
    return value === 'true' ? [flag] : []
  })
}
