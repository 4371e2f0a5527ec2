import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { ImageFolder } from './folder.ts'

async function folders(t: TestContext) {
  const root = await mkdtemp(join(tmpdir(), 'pb-img-'))
  t.after(() => rm(root, { recursive: true, force: true }))
  const from = join(root, 'from')
  await mkdir(join(from, 'sub'), { recursive: true })
  await writeFile(join(from, 'vmlinuz'), 'kernel', { mode: 0o600 })
  const images = join(root, 'images')
  return { root, from, images, folder: new ImageFolder(images) }
}

test('an image is made of the plain files of a folder', async (t) => {
  const { from, images, folder } = await folders(t)
  await folder.import('a', from)
  assert.deepEqual(await readdir(join(images, 'a')), ['vmlinuz'])
  assert.equal(await readFile(join(images, 'a/vmlinuz'), 'utf8'), 'kernel')
  assert.equal((await stat(join(images, 'a/vmlinuz'))).mode & 0o777, 0o644)
})

test('links and special files in a folder are refused by name, and nothing of it becomes an image', async (t) => {
  const { root, from, images, folder } = await folders(t)
  await writeFile(join(root, 'secret'), 'secret', { mode: 0o600 })
  await symlink(join(root, 'secret'), join(from, 'initrd.img'))
  const server = createServer().listen(join(from, 'socket'))
  t.after(() => server.close())
  await once(server, 'listening')
  await assert.rejects(
    folder.import('a', from),
    /has links or special files \((initrd.img, socket|socket, initrd.img)\)/,
  )
  assert.equal(await folder.has('a'), false)
  assert.deepEqual(await readdir(images), [])
})
