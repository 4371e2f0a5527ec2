import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Room } from './room.ts'
import { writeSparse } from './sparse-file.ts'

async function write(t: TestContext, chunks: readonly Buffer[], maxBytes?: number) {
  const folder = await mkdtemp(join(tmpdir(), 'pb-sparse-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const path = join(folder, 'disk')
  async function* bytes() {
    yield* chunks
  }
  const limit = maxBytes === undefined ? {} : { maxBytes }
  const written = await writeSparse(path, bytes(), { what: 'It', room: new Room(folder), ...limit })
  return { written, content: await readFile(path), blocks: (await stat(path)).blocks }
}

test('a file has what was written, however it came, and its checksum', async (t) => {
  const whole = Buffer.alloc(100_001)
  whole.write('begin')
  whole.write('middle', 40_959)
  whole.write('end', 100_001 - 3)
  for (const step of [1000, 4096, 4097, 30_000, 100_001]) {
    const chunks = Array.from({ length: Math.ceil(whole.length / step) }, (_, i) =>
      whole.subarray(i * step, (i + 1) * step),
    )
    const { written, content } = await write(t, chunks)
    assert.ok(content.equals(whole), String(step))
    assert.deepEqual(written, { digest: createHash('sha256').update(whole).digest('hex'), bytes: whole.length })
  }
})

test('blocks of zeros take no room', async (t) => {
  const { content, blocks } = await write(t, [Buffer.alloc(4096, 'x'), ...Array(64).fill(Buffer.alloc(2 ** 18))])
  assert.equal(content.length, 4096 + 2 ** 24)
  assert.ok(blocks * 512 <= 65536, `${blocks} blocks`)
})

test('an empty file is one', async (t) => {
  assert.equal((await write(t, [])).content.length, 0)
})

test('more bytes than are taken are refused', async (t) => {
  await assert.rejects(write(t, [Buffer.alloc(6), Buffer.alloc(5)], 10), {
    kind: 'Invalid',
    message: 'It is larger than 10 bytes when unpacked',
  })
})
