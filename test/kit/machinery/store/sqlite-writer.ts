import { writeSync } from 'node:fs'
import { openSqliteStore } from '#machinery/store/sqlite.ts'

/**
 * A process to be killed: eight writers count up keys for ever, and every acknowledged write is a line on standard output,
 * `key revision n`, written before anything else happens.
 */
async function main(path: string): Promise<void> {
  const store = await openSqliteStore({ path })
  const writers = Array.from({ length: 8 }, async (_, writer) => {
    for (let i = 0; ; i++) {
      // Every third write goes to a key that all of them fight for.
      const key = i % 3 ? `/a/b/c/${writer}-${i % 5}` : '/a/b/c/shared'
      const row = await store.update(key, (current) => ({
        type: 'put',
        value: { n: Number(current?.value.n ?? 0) + 1 },
      }))
      report(`${key} ${row?.revision} ${row?.value.n}\n`)
    }
  })
  await Promise.all(writers)
}

/** Writes a whole line now. A pipe whose reader is slow is full for a moment and says so. */
function report(line: string): void {
  for (let left = Buffer.from(line); left.length > 0; ) {
    try {
      left = left.subarray(writeSync(1, left))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1)
    }
  }
}

await main(process.argv[2]!)
