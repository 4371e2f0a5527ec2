import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it, type TestContext } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import type { DiskPull } from '#core/disk/ports.ts'
import type { ImagePull } from '#core/ports.ts'
import { diskLayer, makeQcow2 } from '#kit/drivers/image/disks.ts'
import { pushImage, pushIndex, startRegistry, type TestRegistry } from '#kit/drivers/image/registry.ts'
import { tarOf } from '#kit/drivers/image/tar.ts'
import { rangeStart, sendRange, webServer } from '#kit/drivers/image/web-server.ts'
import { must } from '../../../../tools/stage/program.ts'
import { type Ask, HttpClient } from '../fetch/http-client.ts'
import { type DiskImageOptions, DiskImageStore } from './disk-image-store.ts'
import { ImageInventory } from './inventory.ts'

const signal = new AbortController().signal
const sha = (bytes: Buffer, algorithm = 'sha256') => createHash(algorithm).update(bytes).digest('hex')

/** Notes the paths that are asked for. */
class NotingClient extends HttpClient {
  readonly paths: string[] = []

  override request(url: URL, ask: Ask) {
    this.paths.push(`${ask.method ?? 'GET'} ${url.pathname}`)
    return super.request(url, ask)
  }

  blobs(): number {
    return this.paths.filter((path) => path.includes('/blobs/')).length
  }
}

async function scratch(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'pb-images-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** A store in a folder of its own, or in `root`. */
async function makeStore(t: TestContext, options: Partial<DiskImageOptions> = {}) {
  const root = options.root ?? join(await scratch(t), 'images')
  const http = new NotingClient({ isLocalAllowed: true, trustedHosts: new Set(), stallMs: 20_000 })
  const store = new DiskImageStore({ http, mirrors: new Map(), backoffMs: [1], ...options, root })
  const pull = (reference: string, more: Partial<DiskPull> = {}) =>
    store.pull({ reference, isAlways: false, ...more }, signal)
  return { root, http, store, pull, inventory: new ImageInventory(root) }
}

/** Everything below the folder of images but what is kept for each reference. */
async function leftIn(root: string): Promise<readonly string[]> {
  const names = await readdir(root, { recursive: true })
  return names.filter((name) => !/^\.(references|downloads)$/.test(name)).sort()
}

describe('disk images of a registry', () => {
  let registry: TestRegistry
  let folder: string
  let qcow2: Buffer
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'pb-disks-'))
    qcow2 = await makeQcow2(folder, 'plain')
    registry = await startRegistry()
  })
  after(async () => {
    await registry?.close()
    await rm(folder, { recursive: true, force: true })
  })
  const named = (name: string) => `${registry.host}/${name}`

  it('an image is pulled, checked, kept and found', async (t) => {
    await pushImage(registry.host, 'plain', [diskLayer(qcow2)], '1')
    const { store, root, pull } = await makeStore(t)
    const progress: Parameters<NonNullable<ImagePull['onProgress']>>[] = []
    assert.equal(await store.find(named('plain:1')), undefined)
    const image = await pull(named('plain:1'), { onProgress: (...args) => progress.push(args) })
    assert.deepEqual(image, { digest: sha(qcow2), format: 'qcow2', virtualBytes: 2 ** 30 })
    assert.deepEqual(await store.find(named('plain:1')), image)
    const [done, total] = progress.at(-1) ?? []
    assert.ok(done !== undefined && done > 0 && done === total)
    const file = join(root, `sha256-${image.digest}/disk.qcow2`)
    assert.ok((await readFile(file)).equals(qcow2))
    const { mode, uid } = await stat(file)
    assert.deepEqual([mode & 0o777, uid], [0o444, 0])
    assert.deepEqual(await readdir(join(root, '.downloads')), [])
  })

  it('a raw disk is kept as raw, and sparse', async (t) => {
    const disk = Buffer.concat([randomBytes(5000), Buffer.alloc(10_000_000)])
    await pushImage(registry.host, 'raw', [diskLayer(disk)], '1')
    const { root, pull } = await makeStore(t)
    const image = await pull(named('raw:1'))
    assert.deepEqual(image, { digest: sha(disk), format: 'raw', virtualBytes: 512 * Math.ceil(disk.length / 512) })
    const { blocks, size } = await stat(join(root, `sha256-${image.digest}/disk.raw`))
    assert.equal(size, disk.length)
    assert.ok(blocks * 512 <= 65_536)
  })

  it('of an index the image for our platform is pulled, and its layer by zstd', async (t) => {
    const other = await pushImage(registry.host, 'multi', [diskLayer(Buffer.alloc(4096, 'x'))])
    const own = await pushImage(registry.host, 'multi', [
      zstdCompressSync(tarOf([{ name: './disk/x.qcow2', content: qcow2 }])),
    ])
    const images = new Map([
      ['linux/arm64', other],
      ['linux/amd64', own],
    ])
    await pushIndex(registry.host, 'multi', images, '1')
    const { pull } = await makeStore(t)
    assert.equal((await pull(named('multi:1'))).digest, sha(qcow2))
  })

  it('pulls of one image at once are one download, whatever they call it', async (t) => {
    const { digest } = await pushImage(registry.host, 'same', [diskLayer(randomBytes(3_000_000))], '1')
    await pushImage(registry.host, 'same', [diskLayer(qcow2)], 'other')
    const first = await makeStore(t)
    const second = await makeStore(t, { root: first.root })
    const texts = [named('same:1'), named(`same@${digest}`), named('same:1')]
    const images = await Promise.all([
      ...texts.map((text) => first.pull(text)),
      ...texts.map((text) => second.pull(text)),
    ])
    assert.equal(new Set(images.map((image) => image.digest)).size, 1)
    assert.equal(first.http.blobs() + second.http.blobs(), 1)
    assert.ok(await second.store.find(named('same:1')))
    assert.ok(await second.store.find(named(`same@${digest}`)))
  })

  it('a tag that has moved is noticed when that is asked for', async (t) => {
    await pushImage(registry.host, 'moving', [diskLayer(qcow2)], '1')
    const { http, store, pull } = await makeStore(t)
    await pull(named('moving:1'))
    await pull(named('moving:1'), { isAlways: true })
    assert.equal(http.blobs(), 1)
    assert.equal(http.paths.filter((path) => path.startsWith('GET') && path.includes('/manifests/')).length, 1)
    const moved = Buffer.alloc(8192, 'moved')
    await pushImage(registry.host, 'moving', [diskLayer(moved)], '1')
    assert.equal((await pull(named('moving:1'))).digest, sha(qcow2))
    assert.equal((await pull(named('moving:1'), { isAlways: true })).digest, sha(moved))
    assert.equal((await store.find(named('moving:1')))?.digest, sha(moved))
  })

  it('a path picks a file, and is part of what is remembered', async (t) => {
    const raw = Buffer.alloc(8192, 'raw')
    const layer = gzipSync(
      tarOf([
        { name: 'disk/a', content: qcow2 },
        { name: 'disk/b', content: raw },
      ]),
    )
    await pushImage(registry.host, 'two', [layer], '1')
    const { store, pull } = await makeStore(t)
    await assert.rejects(pull(named('two:1')), {
      kind: 'Invalid',
      message: /more than one file found in folder \/disk/,
    })
    assert.equal((await pull(named('two:1'), { path: '/disk/b' })).digest, sha(raw))
    assert.equal((await store.find(named('two:1'), '/disk/b'))?.format, 'raw')
    assert.equal(await store.find(named('two:1')), undefined)
    assert.equal((await pull(named('two:1'), { path: '/disk/a' })).digest, sha(qcow2))
  })

  it('what could harm the host is refused, and leaves nothing', async (t) => {
    const images: Readonly<Record<string, readonly [RegExp, Buffer]>> = {
      backing: [/backing file/, await makeQcow2(folder, 'backing', ['-b', '/etc/passwd', '-F', 'raw'])],
      data: [/in another file/, await makeQcow2(folder, 'data', ['-o', `data_file=${folder}/outside`])],
      huge: [/virtual size is 109951162777600 bytes/, await makeQcow2(folder, 'huge', [], '100T')],
      vmdk: [/unsupported image format: vmdk/, Buffer.alloc(8192, 'KDMV')],
      empty: [/it is empty/, Buffer.alloc(0)],
      page: [/a web page/, Buffer.from('<!DOCTYPE html><html>Not found</html>')],
    }
    const { root, pull } = await makeStore(t)
    for (const [name, [message, content]] of Object.entries(images)) {
      await pushImage(registry.host, name, [diskLayer(content)], '1')
      await assert.rejects(pull(named(`${name}:1`)), { kind: 'Invalid', message }, name)
    }
    const outside = gzipSync(tarOf([{ name: 'disk/../../../etc/cron.d/x', content: qcow2 }]))
    await pushImage(registry.host, 'outside', [outside], '1')
    await assert.rejects(pull(named('outside:1')), { kind: 'Invalid', message: /leads out of it/ })
    assert.deepEqual(await leftIn(root), [])
  })

  it('what QEMU sees otherwise than we do is refused', async (t) => {
    // The table of first-level entries has the size that it should, and says nothing that can be read.
    const broken = Buffer.from(qcow2)
    broken.writeBigUInt64BE(0x7fff_ffff_ffff_fe00n, Number(qcow2.readBigUInt64BE(48)))
    broken.writeUInt32BE(0, 56)
    await pushImage(registry.host, 'broken', [diskLayer(broken)], '1')
    const { pull, root } = await makeStore(t)
    await assert.rejects(pull(named('broken:1')), { kind: 'Invalid', message: /cannot be read by qemu-img/ })
    assert.deepEqual(await leftIn(root), [])
  })

  it('what is not there, or not at the mirror, is not found', async (t) => {
    const { pull } = await makeStore(t)
    await assert.rejects(pull(named('never:1')), { kind: 'NotFound', message: /MANIFEST_UNKNOWN|NAME_UNKNOWN/ })
    const mirrors = new Map([['quay.io', new URL(`http://${registry.host}`)]])
    const mirrored = await makeStore(t, { mirrors })
    await pushImage(registry.host, 'a/b', [diskLayer(qcow2)], 'c')
    assert.equal((await mirrored.pull('quay.io/a/b:c')).digest, sha(qcow2))
    await assert.rejects(mirrored.pull('quay.io/a/b:d'), { kind: 'NotFound', message: /at the mirror 127/ })
  })
})

describe('disk images of a web server', () => {
  const disk = Buffer.concat([randomBytes(3_000_000), Buffer.alloc(1_000_000)])

  it('files come plain or packed, and with a checksum of what was sent', async (t) => {
    const folder = await scratch(t)
    await writeFile(join(folder, 'disk'), disk)
    await must('xz', ['-0', '--keep', join(folder, 'disk')])
    const packed = {
      '/raw': disk,
      '/raw.gz': gzipSync(disk, { level: 1 }),
      '/raw.zst': zstdCompressSync(disk),
      '/raw.xz': await readFile(join(folder, 'disk.xz')),
    }
    const answers = Object.entries(packed).map(
      ([path, bytes]) => [path, (_: unknown, response: ServerResponse) => void response.end(bytes)] as const,
    )
    const { url, seen } = await webServer(t, Object.fromEntries(answers))
    for (const [path, bytes] of Object.entries(packed)) {
      const { pull, store, root } = await makeStore(t)
      const checksum = `sha512:${sha(bytes, 'sha512')}`
      await assert.rejects(pull(url(path).href, { checksum: `md5:${'0'.repeat(32)}` }), { message: /should have 000/ })
      assert.deepEqual(await leftIn(root), [])
      const image = await pull(url(path).href, { checksum })
      assert.deepEqual(image, { digest: sha(disk), format: 'raw', virtualBytes: 512 * Math.ceil(disk.length / 512) })
      const before = seen.length
      await pull(url(path).href, { checksum })
      await pull(url(path).href)
      assert.equal(seen.length, before)
      await pull(url(path).href, { checksum: `sha1:${sha(bytes, 'sha1')}` })
      assert.equal(seen.length, before + 1, 'another checksum says that it is looked at again')
      assert.equal((await store.find(url(path).href))?.digest, image.digest)
    }
  })

  it('a pull that was ended goes on where it was', async (t) => {
    const stop = new AbortController()
    let isSecond = false
    const { url, seen } = await webServer(t, {
      '/disk': (request, response) => {
        if (isSecond) return sendRange(request, response, disk)
        response.writeHead(200, { 'content-length': disk.length }).write(disk.subarray(0, 2_000_000))
      },
    })
    const { store, root, pull } = await makeStore(t)
    const checksum = `sha256:${sha(disk)}`
    const onProgress = (done: number) => done >= 2_000_000 && stop.abort(new Error('enough'))
    const first = store.pull({ reference: url('/disk').href, checksum, isAlways: false, onProgress }, stop.signal)
    await assert.rejects(first, /enough/)
    isSecond = true
    assert.equal((await pull(url('/disk').href, { checksum })).digest, sha(disk))
    assert.deepEqual(seen.map(rangeStart), [0, 2_000_000])
    assert.deepEqual(await readdir(join(root, '.downloads')), [])
  })

  it('what a process that was killed has left at any step is in no way', async (t) => {
    const { url } = await webServer(t, { '/disk': (_, response) => void response.end(disk) })
    const { root, pull, inventory, store } = await makeStore(t)
    for (const key of [url('/disk').href, 'import\0mine', `remove\0${sha(disk)}`]) {
      const { folder, release } = await inventory.workspaces.take(key, signal)
      for (const name of ['disk', 'download.part']) await writeFile(join(folder, name), 'half')
      for (const name of ['image', 'removed']) {
        await mkdir(join(folder, name))
        await writeFile(join(folder, name, 'disk.raw'), 'half')
      }
      await release(true)
    }
    assert.equal((await pull(url('/disk').href)).digest, sha(disk))
    await inventory.remove(sha(disk), false)
    await writeFile(join(root, '../file'), disk)
    assert.equal((await store.import('mine', join(root, '../file'), signal)).digest, sha(disk))
    assert.deepEqual(await readdir(join(root, '.downloads')), [])
  })

  it('what unpacks without end is refused', async (t) => {
    const bomb = gzipSync(gzipSync(Buffer.alloc(20_000_000)))
    const { url } = await webServer(t, {
      '/one': (_, response) => void response.end(gzipSync(Buffer.alloc(20_000_000))),
      '/two': (_, response) => void response.end(bomb),
    })
    const { pull, root } = await makeStore(t, { maxFileBytes: 10_000_000 })
    await assert.rejects(pull(url('/one').href), {
      kind: 'Invalid',
      message: /larger than 10000000 bytes when unpacked/,
    })
    await assert.rejects(pull(url('/two').href), { kind: 'Invalid', message: /unsupported image format: gzip/ })
    assert.deepEqual(await leftIn(root), [])
  })

  it('a URL is asked for its version when it is to be new', async (t) => {
    let [body, etag] = [disk, '"1"']
    const { url, seen } = await webServer(t, {
      '/disk': (_, response) => void response.setHeader('etag', etag).end(body),
    })
    const { pull } = await makeStore(t)
    await pull(url('/disk').href)
    await pull(url('/disk').href, { isAlways: true })
    assert.deepEqual(
      seen.map(({ method }) => method),
      ['GET', 'HEAD'],
    )
    body = Buffer.alloc(8192, 'new')
    etag = '"2"'
    assert.equal((await pull(url('/disk').href, { isAlways: true })).digest, sha(body))
  })

  it('a disk that is full is a sentence, and leaves nothing', async (t) => {
    const root = join(await scratch(t), 'images')
    await mkdir(root)
    await must('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', root])
    try {
      const { url } = await webServer(t, {
        '/known': (_, response) => void response.end(Buffer.concat([disk, disk])),
        '/unknown': (_, response) => void response.writeHead(200).end(Buffer.concat([disk, disk])),
        '/packed': (_, response) => void response.end(zstdCompressSync(Buffer.concat([disk, disk]), {})),
      })
      const { pull } = await makeStore(t, { root })
      for (const path of ['/known', '/unknown', '/packed'])
        await assert.rejects(pull(url(path).href), { kind: 'Unavailable', message: /no room|disk .* is full/ }, path)
      assert.deepEqual(await leftIn(root), [])
      assert.deepEqual(await readdir(join(root, '.downloads')), [])
    } finally {
      await must('umount', [root])
    }
  })
})

describe('disk images of this host', () => {
  it('a file becomes an image by its name, which is never pulled', async (t) => {
    const folder = await scratch(t)
    const qcow2 = await makeQcow2(folder, 'mine')
    const { store, http, pull } = await makeStore(t)
    const image = await store.import('mine', join(folder, 'mine'), signal)
    assert.equal(image.digest, sha(qcow2))
    assert.deepEqual(await store.find('mine'), image)
    assert.deepEqual(await pull('mine', { isAlways: true }), image)
    assert.deepEqual(http.paths, [])
    await writeFile(join(folder, 'raw'), Buffer.alloc(8192, 'x'))
    assert.equal((await store.import('mine', join(folder, 'raw'), signal)).format, 'raw')
    assert.equal((await store.find('mine'))?.format, 'raw')
    assert.equal(await store.find('No Reference'), undefined)
    await assert.rejects(pull('No Reference'), { kind: 'Invalid', message: /is no reference to an image/ })
    await assert.rejects(store.import('Not/A/Name', join(folder, 'raw'), signal), { kind: 'Invalid' })
  })

  it('a sandbox gets it by a link, or a copy on another file system, and keeps it', async (t) => {
    const folder = await scratch(t)
    const qcow2 = await makeQcow2(folder, 'mine')
    const { store, inventory, root } = await makeStore(t)
    const { digest } = await store.import('mine', join(folder, 'mine'), signal)
    const far = join(folder, 'far')
    await mkdir(far)
    await must('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', far])
    try {
      for (const sandbox of [join(folder, 'near'), far]) {
        const inside = await store.provide(sandbox, digest)
        assert.equal(inside, `/run/images/sha256-${digest}/disk.qcow2`)
        assert.equal(await store.provide(sandbox, digest), inside)
        assert.ok((await readFile(join(sandbox, inside))).equals(qcow2))
        assert.equal((await stat(join(sandbox, inside))).mode & 0o777, 0o444)
      }
    } finally {
      await must('umount', [far])
    }
    await assert.rejects(inventory.remove('mine', false), { kind: 'Conflict', message: /is in use by a sandbox/ })
    assert.deepEqual(await inventory.prune({ olderThanMs: 0, hasImported: true }), [])
    assert.match(await inventory.remove('mine', true), /^mine \(sha256:/)
    assert.deepEqual(await leftIn(root), [])
    assert.ok((await readFile(join(folder, 'near/run/images', `sha256-${digest}`, 'disk.qcow2'))).equals(qcow2))
    await assert.rejects(store.provide(far, digest), { kind: 'NotFound' })
  })

  it('names and images are removed, and pruned when they were not used for a while', async (t) => {
    const folder = await scratch(t)
    await makeQcow2(folder, 'mine')
    const { url } = await webServer(t, { '/a': (_, response) => void response.end(Buffer.alloc(8192, 'a')) })
    const { store, inventory, pull } = await makeStore(t)
    const { digest } = await store.import('mine', join(folder, 'mine'), signal)
    await store.name('alias', digest)
    assert.equal(await inventory.remove('alias', false), 'alias; its image is mine as well')
    const web = await pull(url('/a').href)
    assert.deepEqual(await inventory.prune({ olderThanMs: 3_600_000, hasImported: false }), [])
    const gone = await inventory.prune({ olderThanMs: 0, hasImported: false })
    assert.deepEqual(
      gone.map((image) => image.digest),
      [web.digest],
    )
    assert.equal(await store.find(url('/a').href), undefined)
    assert.match(await inventory.remove(digest.slice(0, 12), false), new RegExp(`sha256:${digest}`))
    await assert.rejects(inventory.remove('mine', false), { kind: 'NotFound', message: /There is no image mine here/ })
  })
})
