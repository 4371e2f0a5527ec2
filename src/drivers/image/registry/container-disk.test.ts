import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { type TestEntry, tarOf } from '#kit/drivers/image/tar.ts'
import { Room } from '../files/room.ts'
import { unpackDisk } from './container-disk.ts'

const disk = (name: string, content: string): TestEntry => ({ name, content: Buffer.from(content) })

/** Unpacks layers, lowest first; returns the content, and how many layers were fetched. */
async function unpack(
  t: TestContext,
  layers: readonly (readonly TestEntry[] | Buffer)[],
  path?: string,
  maxBytes = 1e6,
) {
  const folder = await mkdtemp(join(tmpdir(), 'pb-layers-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const blobs = layers.map((_, i) => ({ digest: String(i), size: 0 }))
  let fetched = 0
  const fetchLayer = async ({ digest }: { digest: string }) => {
    const layer = layers[Number(digest)] ?? []
    fetched += 1
    const file = join(folder, `layer${digest}`)
    await writeFile(file, Buffer.isBuffer(layer) ? layer : gzipSync(tarOf(layer)))
    return file
  }
  const to = join(folder, 'disk')
  const signal = new AbortController().signal
  const found = await unpackDisk(blobs, fetchLayer, {
    what: 'The image',
    path,
    to,
    maxBytes,
    room: new Room(folder),
    signal,
  })
  const content = await readFile(found.file)
  assert.equal(found.digest, createHash('sha256').update(content).digest('hex'))
  assert.ok(layers.every((_, i) => !existsSync(join(folder, `layer${i}`))))
  return { content: content.toString(), fetched }
}

test('the only file of /disk is the disk, however the layer is packed', async (t) => {
  const entries = [{ name: 'disk/', type: '5' }, disk('disk/a.img', 'a'), disk('etc/passwd', 'x')]
  for (const layer of [entries, tarOf(entries), zstdCompressSync(tarOf(entries))])
    assert.equal((await unpack(t, [layer])).content, 'a')
})

test('KubeVirt’s words say that there is none, or more than one', async (t) => {
  const none = /no file found in folder \/disk, no disk present$/
  const several = /more than one file found in folder \/disk, only one disk is allowed$/
  await assert.rejects(unpack(t, [[disk('a', 'a')]]), { kind: 'Invalid', message: none })
  await assert.rejects(unpack(t, []), { message: none })
  await assert.rejects(unpack(t, [[disk('disk/a', 'a'), disk('disk/b', 'b')]]), { kind: 'Invalid', message: several })
  await assert.rejects(unpack(t, [[disk('disk/a', 'a')], [disk('disk/b', 'b')]]), { message: several })
  await assert.rejects(unpack(t, [[disk('disk/a', 'a'), disk('disk/sub/b', 'b')]]), { message: several })
})

test('what is no plain file is no disk', async (t) => {
  for (const type of ['1', '2', '3', '5'])
    await assert.rejects(unpack(t, [[{ name: 'disk/a', type }]]), { message: /\/disk\/a is no plain file$/ }, type)
  await assert.rejects(unpack(t, [[disk('disk/sub/a', 'a')]]), { message: /\/disk\/sub is no plain file$/ })
})

test('a path picks one of several, and layers below it are not fetched', async (t) => {
  const layers = [[disk('base', 'x')], [disk('disk/a', 'a'), disk('disk/b', 'b')], [disk('top', 'x')]]
  assert.deepEqual(await unpack(t, layers, '/disk/b'), { content: 'b', fetched: 2 })
  assert.equal((await unpack(t, layers, 'top')).content, 'x')
  await assert.rejects(unpack(t, layers, '/disk/c'), { message: /no file found at \/disk\/c, no disk present$/ })
  for (const path of ['/', '', '../a', '/disk/../../a'])
    await assert.rejects(unpack(t, layers, path), { message: /is no path of a file in an image/ }, path)
})

test('higher layers replace and remove what lower ones have', async (t) => {
  const lower = [disk('disk/a', 'old')]
  assert.equal((await unpack(t, [lower, [disk('disk/a', 'new')]])).content, 'new')
  assert.equal((await unpack(t, [lower, [disk('disk/.wh.a', ''), disk('disk/b', 'b')]])).content, 'b')
  assert.equal((await unpack(t, [lower, [disk('disk/.wh..wh..opq', ''), disk('disk/b', 'b')]])).content, 'b')
  assert.equal((await unpack(t, [lower, [disk('.wh.disk', '')], [disk('disk/b', 'b')]])).content, 'b')
  await assert.rejects(unpack(t, [lower, [disk('disk/.wh.a', '')]]), { message: /no file found/ })
  await assert.rejects(unpack(t, [lower, [disk('.wh.disk', '')]], '/disk/a'), { message: /no file found at/ })
})

test('the last of two entries with one name counts', async (t) => {
  assert.equal((await unpack(t, [[disk('disk/a', 'longer'), disk('disk/a', 'b')]])).content, 'b')
})

test('a layer that unpacks without end is refused, whatever is in it', async (t) => {
  for (const name of ['disk/a', 'else'])
    await assert.rejects(unpack(t, [[{ name, content: Buffer.alloc(100_000) }]], undefined, 50_000), {
      kind: 'Invalid',
      message: /is larger than 50000 bytes when unpacked/,
    })
})

test('a damaged layer is refused', async (t) => {
  const layer = gzipSync(tarOf([disk('disk/a', 'a'.repeat(1e5))]))
  await assert.rejects(unpack(t, [layer.subarray(0, layer.length - 20)]), { kind: 'Invalid', message: /is damaged/ })
  await assert.rejects(unpack(t, [Buffer.from('nonsense'.repeat(100))]), { kind: 'Invalid' })
})
