import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Reserve } from './reserve.ts'

const mebibyte = 1024 * 1024

function pathIn(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'patchbay-reserve-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return join(folder, 'reserve')
}

test('takes real room, for root only, and finds it again', (t) => {
  const path = pathIn(t)
  assert.ok(new Reserve(path).isWhole)
  const { size, blocks, mode, ino } = statSync(path)
  assert.deepEqual([size, mode & 0o777], [16 * mebibyte, 0o600])
  assert.ok(blocks * 512 >= size, 'it is no hole')
  assert.ok(new Reserve(path).isWhole)
  assert.equal(statSync(path).ino, ino)
})

test('a part of it that a crash left is made whole', (t) => {
  const path = pathIn(t)
  writeFileSync(path, Buffer.alloc(5 * mebibyte))
  assert.ok(new Reserve(path).isWhole)
  assert.equal(statSync(path).size, 16 * mebibyte)
})

test('is not given up while the disk has room, whatever else is full', (t) => {
  const reserve = new Reserve(pathIn(t))
  assert.equal(reserve.give(), false)
  assert.ok(reserve.isWhole)
})
