import assert from 'node:assert/strict'
import { appendFile, mkdtemp, open, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { endOf } from '../libvirt/guest-domain.ts'
import { boundLog, readLogEnds } from './bounded-log.ts'

const start = '2026-01-01 00:00:00.000+0000: starting up libvirt version: 9.0.0\n'

test('a log that grows is cut while it is written, and still says how its guest ended', async () => {
  const dir = await mkdtemp('/tmp/pbl-')
  const path = join(dir, 'x.log')
  try {
    await boundLog(path)
    assert.equal(await readLogEnds(path), '')
    await writeFile(path, start)
    await boundLog(path)
    assert.equal(await readFile(path, 'utf8'), start, 'a small one is left alone')
    const writer = await open(path, 'a')
    await writer.write('warning\n'.repeat(200_000))
    assert.equal(endOf(await readLogEnds(path)), 'crashed')
    await boundLog(path)
    assert.ok((await stat(path)).size < 100 * 1024)
    await writer.write('shutting down, reason=shutdown\n')
    await writer.close()
    const text = await readFile(path, 'utf8')
    assert.ok(text.startsWith(start) && text.endsWith('warning\nshutting down, reason=shutdown\n'))
    assert.equal(endOf(await readLogEnds(path)), 'shutdown')
    await appendFile(path, 'x'.repeat(2_000_000))
    assert.ok((await readLogEnds(path)).length < 100 * 1024, 'however large, not much of it is read')
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
})
