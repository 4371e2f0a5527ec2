import assert from 'node:assert/strict'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { makeMigrationSocketDir, migrationSocketPath, qemuSocketDir } from './daemon.ts'

const isRoot = process.getuid?.() === 0

test('the folder two sandboxes meet in is root’s, and QEMU writes in a part of it only', {
  skip: !isRoot && 'needs root',
}, async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'pb-ex-'))
  t.after(() => rm(dir, { recursive: true, force: true }))
  const migrationSocketDir = { dir, name: 'm' }
  const modes = async (path: string) => {
    const { uid, gid, mode } = await stat(path)
    return [uid, gid, mode & 0o777]
  }
  // Done twice is done once.
  for (const _ of [1, 2]) {
    await makeMigrationSocketDir(migrationSocketDir, 64_055)
    assert.deepEqual(await modes(migrationSocketPath(migrationSocketDir)), [0, 64_055, 0o710])
    assert.deepEqual(await modes(join(migrationSocketPath(migrationSocketDir), qemuSocketDir)), [64_055, 64_055, 0o700])
  }
})
