import assert from 'node:assert/strict'
import { chmod, mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { Log } from '#base/log.ts'
import { asSentence, createDataDir, dataDirAt } from './data-dir.ts'

async function open(t: TestContext) {
  const root = await mkdtemp(join(tmpdir(), 'pb-'))
  t.after(() => rm(root, { recursive: true, force: true }))
  const warnings: string[] = []
  const drop = () => undefined
  const log: Log = { debug: drop, info: drop, warn: (_, text) => warnings.push(text), error: drop, child: () => log }
  const mode = async () => (await stat(root)).mode & 0o777
  return { root, log, warnings, mode, create: () => createDataDir(dataDirAt(root), log) }
}

test('a data directory that is open to others is closed to them, with a line in the log', async (t) => {
  const { root, warnings, mode, create } = await open(t)
  await mkdir(join(root, 'images'))
  await chmod(root, 0o755)
  await create()
  assert.equal(await mode(), 0o700)
  assert.equal(warnings.length, 1)
  await create()
  assert.equal(warnings.length, 1)
})

test('a folder that is there for something else is refused, not closed to others', async (t) => {
  const { root, mode, create } = await open(t)
  await writeFile(join(root, 'other'), '')
  await chmod(root, 0o755)
  await assert.rejects(create(), { kind: 'Invalid', message: /is open to other users \(mode 755\) and holds files/ })
  assert.equal(await mode(), 0o755)
})

for (const [what, fields, text, remedy] of [
  ['on a full disk', { code: 'ENOSPC' }, 'ENOSPC: no space left on device, write', /the disk is full; free some space/],
  ['whose store has no room', {}, 'database or disk is full', /the disk is full; free some space/],
  ['that is read-only', {}, 'EROFS: read-only file system', /its file system is read-only; mount it for writing/],
  ['of another user', { code: 'EACCES', path: '/d/pki' }, 'EACCES', /this user may not write there; run as root/],
] as const)
  test(`a data directory ${what} is one sentence`, async () => {
    const failing = async () => {
      throw Object.assign(new Error(text), fields)
    }
    await assert.rejects(asSentence('/d', failing), { kind: 'Unavailable', message: remedy })
  })

for (const [what, fields, text] of [
  ['an address that may not be listened on', { code: 'EACCES', syscall: 'listen' }, 'listen EACCES: permission denied'],
  [
    'too many watches',
    { code: 'ENOSPC', syscall: 'watch', path: '/d/pods' },
    'ENOSPC: System limit for number of file watchers reached',
  ],
] as const)
  test(`${what} is not taken for a data directory that cannot be written`, async () => {
    const error = Object.assign(new Error(text), fields)
    await assert.rejects(
      asSentence('/d', async () => {
        throw error
      }),
      error,
    )
  })
