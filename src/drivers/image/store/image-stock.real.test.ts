import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { makeQcow2 } from '#kit/drivers/image/disks.ts'
import { webServer } from '#kit/drivers/image/web-server.ts'
import { HttpClient } from '../fetch/http-client.ts'
import { DiskImageStore } from './disk-image-store.ts'
import { HostImageStock } from './image-stock.ts'

const signal = new AbortController().signal

test('the images of a host are listed by what may be said of them, and those that no sandbox has removed', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'pb-stock-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const root = join(folder, 'images')
  const http = new HttpClient({ isLocalAllowed: true, trustedHosts: new Set(), stallMs: 20_000 })
  const store = new DiskImageStore({ root, http, mirrors: new Map() })
  const [one, two, three] = await Promise.all(['1G', '2G', '3G'].map((size) => makeQcow2(folder, size, [], size)))
  const { url } = await webServer(t, {
    '/one': (_, response) => response.end(one),
    '/two': (_, response) => response.end(two),
  })
  const { digest } = await store.pull({ reference: `${url('/one').href}?token=pa55`, isAlways: false }, signal)
  const scoped = { login: { username: 'u', password: 'p' }, scope: 'ns' }
  await store.pull({ reference: url('/two').href, isAlways: false, access: scoped }, signal)
  await writeFile(join(folder, 'three'), three ?? '')
  await store.import('three', join(folder, 'three'), signal)
  const stock = new HostImageStock(root)
  const listed = new Map((await stock.list()).map((image) => [image.names.join(' '), image]))
  assert.deepEqual([...listed.keys()].toSorted(), ['', url('/one').href, 'three'].toSorted())
  assert.deepEqual([listed.get('three')?.isImported, listed.get(url('/one').href)?.isImported], [true, false])
  const { capacity, available } = await stock.room()
  assert.ok(capacity > available && available > 0)
  const sandbox = join(folder, 'sandbox')
  await mkdir(sandbox)
  await store.provide(sandbox, digest)
  assert.equal((await stock.list()).find((image) => image.digest === digest)?.isUsed, true)
  assert.equal(await stock.remove(digest), false)
  await rm(sandbox, { recursive: true })
  assert.equal(await stock.remove(digest), true)
  assert.equal(await stock.remove(digest), true)
  assert.ok(!(await readdir(root)).includes(`sha256-${digest}`))
  assert.equal(await store.find(`${url('/one').href}?token=pa55`), undefined)
})
