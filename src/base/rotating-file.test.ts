import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { RotatingFile } from './rotating-file.ts'

async function folder(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'rotating-'))
  t.after(() => rm(dir, { recursive: true, force: true }))
  return dir
}

test('lines go to the file in order, and to the one that is there already', async (t) => {
  const path = join(await folder(t), 'log')
  for (const part of ['a', 'b']) {
    const file = new RotatingFile({ path, maxBytes: 1000, files: 2, onTrouble: assert.fail })
    for (let i = 0; i < 3; i++) file.write(`${part}${i}`)
    await file.close()
  }
  assert.equal(await readFile(path, 'utf8'), 'a0\na1\na2\nb0\nb1\nb2\n')
  assert.equal((await stat(path)).mode & 0o777, 0o600)
})

test('full files make room, and the oldest goes', async (t) => {
  const dir = await folder(t)
  const file = new RotatingFile({ path: join(dir, 'log'), maxBytes: 10, files: 3, onTrouble: assert.fail })
  for (let i = 0; i < 5; i++) {
    file.write(`line ${i}..`)
    await file.close()
  }
  assert.deepEqual((await readdir(dir)).sort(), ['log', 'log.1', 'log.2'])
  const texts = await Promise.all(['log', 'log.1', 'log.2'].map((name) => readFile(join(dir, name), 'utf8')))
  assert.deepEqual(texts, ['line 4..\n', 'line 3..\n', 'line 2..\n'])
})

test('a disk that refuses holds nobody up, and is told', async (t) => {
  const troubles: number[] = []
  const path = join(await folder(t), 'nosuch', 'log')
  const onTrouble = (_error: unknown, lost: number) => troubles.push(lost)
  const file = new RotatingFile({ path, maxBytes: 10, files: 2, onTrouble })
  file.write('a')
  file.write('b')
  await file.close()
  file.write('c')
  await file.close()
  assert.deepEqual(troubles, [2, 1])
})
