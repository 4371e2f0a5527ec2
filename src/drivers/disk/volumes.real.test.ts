import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { Fault } from '#base/fault.ts'
import { eventually } from '#base/wait.ts'
import type { VolumeContent } from '#core/disk/ports.ts'
import { run } from '../host/run.ts'
import { progressIn } from './convert.ts'
import { HostVolumes } from './volumes.ts'

const mib = 2 ** 20
const never = new AbortController().signal

/** A folder of volumes, and images beside it by name. */
async function world(t: TestContext) {
  const root = await mkdtemp('/tmp/pb-volumes-')
  t.after(() => rm(root, { recursive: true, force: true }))
  // Images can be read by all users.
  await run('chmod', ['755', root])
  const volumes = new HostVolumes(join(root, 'volumes'), {
    pull: async ({ reference, onProgress }) => {
      if (reference.includes('missing')) throw new Fault('NotFound', `There is no image ${reference}`)
      onProgress?.(1, 2)
      const format = reference.endsWith('qcow2') ? 'qcow2' : 'raw'
      const info = JSON.parse(
        await run('qemu-img', ['info', '-U', '--output=json', '-f', format, join(root, reference)]),
      )
      return { digest: reference, format, virtualBytes: info['virtual-size'] }
    },
    fileOf: async (digest) => join(root, digest),
  })
  const raw = join(root, 'disk.raw')
  await writeFile(raw, '')
  const file = await open(raw, 'r+')
  await file.truncate(64 * mib)
  await file.write(Buffer.from('hello'), 0, 5, 10 * mib)
  await file.close()
  await run('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, join(root, 'disk.qcow2')])
  const parts: number[] = []
  const populate = (uid: string, content: VolumeContent, bytes = 100 * mib, signal = never) =>
    volumes.populate(uid, bytes, content, { onProgress: (part) => void parts.push(part), signal })
  const diskOf = (uid: string) => join(root, 'volumes', uid, 'disk.img')
  const textAt = async (uid: string) => {
    await using disk = await open(diskOf(uid))
    return (await disk.read(Buffer.alloc(5), 0, 5, 10 * mib)).buffer.toString()
  }
  return { root, volumes, populate, diskOf, textAt, parts }
}

const image = (reference: string) => ({ is: 'image', pull: { reference, isAlways: true } }) as const

test('the output of qemu-img is its progress', () => {
  assert.equal(progressIn('    (1.00/100%)\r    (12.34/100%)\r'), 0.1234)
  assert.equal(progressIn('nothing'), undefined)
})

test('an empty disk is sparse, has the size of its claim, and is made once', async (t) => {
  const { volumes, populate, diskOf } = await world(t)
  assert.equal(await volumes.has('a'), false)
  await populate('a', { is: 'blank' }, 2 ** 30)
  const { size, blocks, ino } = await stat(diskOf('a'))
  assert.deepEqual([size, blocks < 100], [2 ** 30, true])
  await populate('a', { is: 'blank' }, 2 ** 30)
  assert.equal((await stat(diskOf('a'))).ino, ino)
  await volumes.remove('a')
  assert.equal(await volumes.has('a'), false)
  assert.deepEqual(await volumes.list(), [])
  await volumes.remove('a')
})

for (const name of ['disk.qcow2', 'disk.raw'])
  test(`${name} becomes a sparse raw disk that is as large as the claim`, async (t) => {
    const { populate, diskOf, textAt, parts } = await world(t)
    await populate('a', image(name))
    const { size, blocks, uid } = await stat(diskOf('a'))
    assert.deepEqual([size, uid, blocks * 512 < 10 * mib], [100 * mib, 0, true])
    assert.equal(await textAt('a'), 'hello')
    assert.ok(parts.includes(0.25) && parts.at(-1) === 1, `its progress: ${parts}`)
    assert.deepEqual(await readdir(join(diskOf('a'), '..')), ['disk.img'])
  })

test('what does not fit or does not come leaves nothing that could be taken for a disk', async (t) => {
  const { root, volumes, populate } = await world(t)
  await assert.rejects(populate('a', image('disk.qcow2'), 10 * mib), {
    kind: 'Invalid',
    message: `virtual image size ${64 * mib} is larger than the reported available storage ${10 * mib}. A larger PVC is required`,
  })
  await assert.rejects(populate('a', image('missing')), { kind: 'NotFound' })
  await assert.rejects(populate('a', image('disk.raw'), 100 * mib, AbortSignal.abort()))
  await writeFile(join(root, 'damaged.qcow2'), (await readFile(join(root, 'disk.qcow2'))).fill(255, 65_536, 200_000))
  await assert.rejects(populate('a', image('damaged.qcow2')), { kind: 'Unavailable' })
  assert.equal(await volumes.has('a'), false)
  assert.deepEqual(await readdir(join(root, 'volumes/a')), [])
})

test('what a killed process has left is replaced', async (t) => {
  const { root, populate, textAt } = await world(t)
  await mkdir(join(root, 'volumes/a'), { recursive: true })
  await writeFile(join(root, 'volumes/a/disk.img.new'), 'x'.repeat(1000))
  await populate('a', image('disk.qcow2'))
  assert.equal(await textAt('a'), 'hello')
})

test('a copy has the content of its source, and is not taken while a guest writes that', async (t) => {
  const { volumes, populate, textAt, diskOf } = await world(t)
  await populate('a', image('disk.raw'), 64 * mib)
  const clone = { is: 'clone', from: 'a', fromBytes: 64 * mib } as const
  await populate('b', clone)
  assert.equal(await textAt('b'), 'hello')
  assert.equal((await stat(diskOf('b'))).size, 100 * mib)
  await populate('c', { is: 'clone', from: 'unused', fromBytes: mib }, 2 * mib)
  assert.equal((await stat(diskOf('c'))).size, 2 * mib)
  const guest = spawn('qemu-io', ['-f', 'raw', diskOf('a')], { stdio: ['pipe', 'pipe', 'ignore'] })
  t.after(() => guest.kill('SIGKILL'))
  await once(guest.stdout, 'data')
  await eventually('the copy is refused', () =>
    populate('d', clone).then(
      async () => {
        await volumes.remove('d')
        return false
      },
      (error: unknown) => {
        assert.match(String(error), /is used by a guest; stop that to copy its disk/)
        return true
      },
    ),
  )
})

/** What a client sends, in small pieces; it leaves after `until` bytes. */
async function* sent(body: Buffer, until = Number.POSITIVE_INFINITY): AsyncGenerator<Buffer> {
  const step = 64 * 1024
  for (let at = 0; at < body.length; at += step) {
    if (at >= until) throw new Fault('Aborted', 'the client left')
    yield body.subarray(at, at + step)
  }
}

test('an upload is unpacked, checked and converted as a download is', async (t) => {
  const { root, populate, textAt, diskOf, parts } = await world(t)
  const qcow2 = await readFile(join(root, 'disk.qcow2'))
  const raw = await readFile(join(root, 'disk.raw'))
  for (const [i, body] of [qcow2, raw, gzipSync(qcow2), zstdCompressSync(raw)].entries()) {
    const id = `00000000-0000-4000-8000-00000000000${i}`
    await populate(id, { is: 'upload', upload: { body: sent(body), bytes: body.length } })
    assert.equal(await textAt(id), 'hello')
    assert.equal((await stat(diskOf(id))).size, 100 * mib)
    assert.deepEqual(await readdir(join(root, 'volumes', id)), ['disk.img'])
  }
  assert.ok(parts.length > 4 && parts.at(-1) === 1)
})

test('an upload that is no disk, too large or broken off leaves nothing, and can be repeated', async (t) => {
  const { root, volumes, populate, textAt } = await world(t)
  const id = '00000000-0000-4000-8000-000000000001'
  const raw = await readFile(join(root, 'disk.raw'))
  const evil = join(root, 'evil')
  await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', join(root, 'disk.raw'), evil])
  const large = join(root, 'large')
  await run('qemu-img', ['create', '-q', '-f', 'qcow2', large, '101M'])
  const failing: readonly (readonly [body: Buffer, more: { bytes?: number; until?: number }, message: RegExp])[] = [
    [await readFile(evil), {}, /^The uploaded image is refused: it has a backing file/],
    [Buffer.from('<!DOCTYPE html>'), {}, /^The uploaded image is refused: /],
    [
      await readFile(large),
      {},
      /^virtual image size 105906176 is larger than the reported available storage 104857600/,
    ],
    [raw, { bytes: 200 * mib }, /^The uploaded image is larger than the disk that it is for/],
    [Buffer.alloc(165 * mib, 1), {}, /^The uploaded image is larger than the disk that it is for/],
    [gzipSync(Buffer.alloc(200 * mib), { level: 1 }), {}, /larger than/],
    [raw, { bytes: raw.length, until: mib }, /^the client left$/],
    [raw.subarray(0, mib), { bytes: raw.length }, /^The uploaded image broke off after 1048576 of 67108864 bytes$/],
  ]
  for (const [body, { bytes, until }, message] of failing) {
    const upload = { body: sent(body, until), ...(bytes !== undefined && { bytes }) }
    await assert.rejects(populate(id, { is: 'upload', upload }), { message })
    assert.deepEqual(await readdir(join(root, 'volumes', id)), [], String(message))
  }
  // What a killed process has left.
  await writeFile(join(root, 'volumes', id, 'upload.part'), 'half')
  await volumes.discard(id)
  assert.deepEqual(await readdir(join(root, 'volumes', id)), [])
  await populate(id, { is: 'upload', upload: { body: sent(raw) } })
  assert.equal(await textAt(id), 'hello')
})
