import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { makeQcow2 } from '#kit/drivers/image/disks.ts'
import { webServer } from '#kit/drivers/image/web-server.ts'
import { program } from '../../tools/stage/program.ts'

const patchbay = new URL('../../patchbay', import.meta.url).pathname

/** Runs `patchbay image` over a data directory of this test. */
async function commands(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'pb-cli-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const dataDir = join(folder, 'data')
  const image = async (...args: string[]) => {
    const { code, stdout, stderr } = await program(patchbay, ['image', ...args, '--data-dir', dataDir])
    return { code, out: stdout.trim(), err: stderr.trim() }
  }
  return { folder, image }
}

test('images are imported, listed and removed from the command line', async (t) => {
  const { folder, image } = await commands(t)
  await makeQcow2(folder, 'disk')
  await makeQcow2(folder, 'evil', ['-b', '/etc/shadow', '-F', 'raw'])
  await mkdir(join(folder, 'kernel'))
  await writeFile(join(folder, 'kernel/vmlinuz'), 'kernel')
  assert.match((await image('import', 'mine', join(folder, 'disk'))).out, /^Image mine is ready: qcow2, 1 GiB, sha256:/)
  assert.match(
    (await image('import', 'boot', join(folder, 'kernel'))).out,
    /^Image boot is ready: use it as .*kernelBoot/,
  )
  for (const [name, from, text] of [
    ['evil', 'evil', /is refused: it has a backing file/],
    ['boot', 'disk', /boot is the name of an image for kernelBoot/],
    ['mine', 'kernel', /mine is the name of a disk image/],
    ['x', 'nothing', /nothing cannot be read/],
  ] as const) {
    const { code, err } = await image('import', name, join(folder, from))
    assert.equal(code, 2)
    assert.match(err, text)
  }
  const { out } = await image('list')
  assert.match(out, /^NAME +FORMAT +SIZE +DISK +DIGEST +AGE +USED\nboot +kernel .* no\nmine +qcow2 +1 GiB .* no$/)
  assert.match((await image('remove', 'boot')).out, /^Removed boot$/)
  assert.match((await image('remove', 'mine')).out, /^Removed mine \(sha256:/)
  const gone = await image('remove', 'mine')
  assert.deepEqual([gone.code, gone.out], [1, ''])
})

test('a disk is pulled by its URL, under a name of its own, and pruned', async (t) => {
  const { image } = await commands(t)
  const { url } = await webServer(t, { '/disk': (_, response) => response.end(Buffer.alloc(8192, 'x')) })
  const refused = await image('pull', url('/disk').href)
  assert.equal(refused.code, 1)
  assert.match(refused.err, /Downloads from 127\.0\.0\.1 are refused/)
  const pulled = await image('pull', url('/disk').href, '--allow-local-downloads', '--name', 'mine')
  assert.match(pulled.out, /^Image mine is ready: raw, 8 KiB, sha256:/)
  assert.match(pulled.err, /^8 KiB of 8 KiB, 100 %/)
  assert.match((await image('prune')).out, /^0 images removed/)
  assert.match((await image('prune', '--older-than', '1x')).err, /^patchbay: --older-than 1x is no time/)
  assert.match((await image('prune', '--all')).out, /^Removed sha256:.*\n1 image removed, 8 KiB freed$/)
})
