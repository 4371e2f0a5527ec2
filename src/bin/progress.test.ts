import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bytesText, Progress } from './progress.ts'

function shown(isTTY: boolean) {
  const texts: string[] = []
  let now = 0
  const progress = new Progress({ isTTY, write: (text: string) => texts.push(text) }, () => now)
  const at = (ms: number, done: number, total?: number) => {
    now = ms
    progress.show(done, total)
  }
  return { texts, progress, at }
}

const mib = 2 ** 20

test('a terminal has one line that changes, now and then', () => {
  const { texts, progress, at } = shown(true)
  at(0, 0, 100 * mib)
  at(50, mib, 100 * mib)
  at(1000, 50 * mib, 100 * mib)
  at(1001, 100 * mib, 100 * mib)
  progress.end()
  progress.end()
  assert.deepEqual(texts, [
    '\r[........................] 0 B of 100 MiB, 0 %, 0 B/s',
    '\r[############............] 50 MiB of 100 MiB, 50 %, 50 MiB/s',
    '\r[########################] 100 MiB of 100 MiB, 100 %, 99.9 MiB/s',
    '\n',
  ])
})

test('elsewhere there is a line for each tenth', () => {
  const { texts, progress, at } = shown(false)
  for (let done = 0; done <= 100; done++) at(done * 10, done * mib, 100 * mib)
  progress.end()
  assert.equal(texts.length, 10)
  assert.equal(texts[0], '10 MiB of 100 MiB, 10 %, 100 MiB/s\n')
})

test('without a whole there are bytes', () => {
  const { texts, at } = shown(false)
  at(0, 0)
  at(1000, 300 * mib)
  assert.deepEqual(texts, ['300 MiB, 300 MiB/s\n'])
})

test('a download that goes on has the rate of what comes', () => {
  const { texts, at } = shown(false)
  at(0, 50 * mib, 100 * mib)
  at(1000, 60 * mib, 100 * mib)
  assert.equal(texts.at(-1), '60 MiB of 100 MiB, 60 %, 10 MiB/s\n')
})

test('amounts are for humans', () => {
  const amounts = [0, 1, 1023, 1024, 1536, 123.4 * mib, 2 ** 30, 5 * 2 ** 40, 2 ** 60].map(bytesText)
  const expected = ['0 B', '1 B', '1023 B', '1 KiB', '1.5 KiB', '123 MiB', '1 GiB', '5 TiB', '1048576 TiB']
  assert.deepEqual(amounts, expected)
})
