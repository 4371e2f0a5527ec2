import type { TestEvent } from 'node:test/reporters'

/** What became of one test, as one JSON line of the file this reporter writes; `why` it was skipped, or failed. */
export type Row = Readonly<{
  name: string
  file: string
  result: 'passed' | 'failed' | 'skipped'
  ms: number
  why?: string
}>

/** A reporter of node's test runner: one JSON line per test, for the table at the end of `npm test`. */
// biome-ignore lint/style/noDefaultExport: node's test runner takes a reporter by its default export
export default async function* rows(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const event of source) {
    if (event.type !== 'test:pass' && event.type !== 'test:fail') continue
    const { name, file = '', details, skip, todo } = event.data
    if (details.type === 'suite') continue
    const skipped = skip !== undefined || todo !== undefined
    const result = event.type === 'test:fail' ? 'failed' : skipped ? 'skipped' : 'passed'
    const why = event.type === 'test:fail' ? reasonOf(event.data.details.error) : skip
    const row: Row = { name, file, result, ms: details.duration_ms, ...(typeof why === 'string' && { why }) }
    yield `${JSON.stringify(row)}\n`
  }
}

/** Longest reason told, characters: the whole of it stands where the test ran. */
const longestReason = 1000

/** The message behind the one that a test failed. */
function reasonOf({ message, cause }: Error): string {
  return (cause instanceof Error ? cause.message : message).slice(0, longestReason)
}
