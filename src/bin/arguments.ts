/** How long `link --wait` waits unless told. */
const usualWait = '60s'

/**
 * Arguments as virtctl and kubectl take them, in the form our parser does: `--force=true` is `--force`, and `--wait` alone
 * does not take the word that follows it for its value.
 */
export function plainArguments(given: readonly string[]): string[] {
  const end = given.indexOf('--')
  return given.flatMap((text, i) => {
    if (end >= 0 && i >= end) return [text]
    if (text === '--wait') return [`--wait=${usualWait}`]
    const [, flag, value] = /^(--(?:force|paused|dry-run|client))=(true|false)$/.exec(text) ?? []
    if (flag === undefined) return [text]
    return value === 'true' ? [flag] : []
  })
}
