import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Fault } from '#base/fault.ts'
import { durationOf, durationText } from './duration.ts'
import { table } from './table.ts'

test('durations are written as Go and kubectl write them', () => {
  const cases = { '500ms': 500, '2s': 2000, '1m': 60_000, '1m30s': 90_000, '1.5s': 1500, '24h': 86_400_000 }
  for (const [text, ms] of Object.entries(cases)) assert.equal(durationOf('--down', text), ms)
  for (const text of ['', '5', '0s', '-2s', '2 s', 's', '2sx', '25h', '1d'])
    assert.throws(
      () => durationOf('--down', text),
      (error) =>
        error instanceof Fault &&
        error.message === `--down ${text} is no duration above 0 and up to 24h; write it like 500ms, 2s or 1m30s`,
    )
  assert.deepEqual([3.2, 999.4, 1500, 60_000].map(durationText), ['3 ms', '999 ms', '1.5 s', '60 s'])
})

test('a table has columns as wide as their widest cells, and no blanks at the ends of lines', () => {
  assert.deepEqual(
    table(
      ['NAME', 'LINK', 'GUEST'],
      [
        ['default', 'up', ''],
        ['red', 'down', 'eth1'],
      ],
    ),
    ['NAME      LINK   GUEST', 'default   up', 'red       down   eth1'],
  )
})
