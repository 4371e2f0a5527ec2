import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { connect } from 'node:http2'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { brotliCompressSync, brotliDecompressSync, gunzipSync, gzipSync } from 'node:zlib'
import { type Cluster, startCluster } from './cluster.ts'

const browser = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'
const index = '<!doctype html><title>Patchbay</title><script src="/ui/assets/main-B1a2C3d4.js" type="module"></script>'
const script = `console.log(${JSON.stringify('x'.repeat(5000))})`

/** A folder as the build of the page leaves it, with what is no part of it. */
async function makeBuild(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'patchbay-ui-'))
  await mkdir(join(folder, 'assets'))
  const put = (name: string, data: string | Buffer) => writeFile(join(folder, name), data)
  await put('index.html', index)
  await put('favicon.svg', '<svg xmlns="http://www.w3.org/2000/svg"/>')
  await put('assets/main-B1a2C3d4.js', script)
  await put('assets/main-B1a2C3d4.js.br', brotliCompressSync(script))
  await put('assets/main-B1a2C3d4.js.gz', gzipSync(script))
  await put('assets/main-E5f6G7h8.css', 'body{}')
  await put('assets/plain.js', '1')
  await mkdir(join(folder, '.vite'))
  await put('.vite/manifest.json', '{}')
  await symlink('/etc/passwd', join(folder, 'assets/link-A1b2C3d4.txt'))
  return folder
}

describe('the page', () => {
  let cluster: Cluster
  let folder: string
  before(async () => {
    folder = await makeBuild()
    cluster = await startCluster({ pageFolder: folder, agent: false })
  })
  after(async () => {
    await cluster?.stop()
    await rm(folder, { recursive: true })
  })
  const read = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
    cluster.anonymous.send(method, path, { headers })

  it('is what a browser gets at the root, and other clients get the list of paths', async () => {
    const page = await read('/', { accept: browser })
    assert.deepEqual([page.code, page.text], [200, index])
    assert.equal(page.headers['content-type'], 'text/html; charset=utf-8')
    for (const accept of ['application/json', '*/*', 'text/html;q=0, */*', 'text/htmlx']) {
      const answer = await cluster.api.send('GET', '/', { headers: { accept } })
      assert.ok(answer.json?.paths.includes('/version'), accept)
    }
    assert.equal((await read('/')).code, 401, 'the list is for users')
    for (const path of ['/ui', '/ui/', '/ui/index.html']) assert.equal((await read(path)).text, index, path)
    const head = await read('/', { accept: browser }, 'HEAD')
    assert.deepEqual([head.code, head.text, head.headers['content-length']], [200, '', String(index.length)])
  })

  it('is not sent again to a browser that has it, and files named by their content are kept for ever', async () => {
    const page = await read('/', { accept: browser })
    assert.deepEqual([page.headers['cache-control'], page.headers.vary], ['no-cache', 'Accept, Accept-Encoding'])
    const again = await read('/', { accept: browser, 'if-none-match': page.headers.etag ?? '' })
    assert.deepEqual([again.code, again.text], [304, ''])
    const caching = async (name: string) => (await read(`/ui/${name}`)).headers['cache-control']
    assert.equal(await caching('assets/main-B1a2C3d4.js'), 'public, max-age=31536000, immutable')
    assert.equal(await caching('assets/plain.js'), 'no-cache')
    assert.equal(await caching('favicon.svg'), 'no-cache')
  })

  it('comes in the shortest form that the browser takes', async () => {
    const path = '/ui/assets/main-B1a2C3d4.js'
    const rows: readonly [accepted: string, coding: string | undefined, undo: (bytes: Buffer) => Buffer][] = [
      ['gzip, deflate, br, zstd', 'br', brotliDecompressSync],
      ['gzip', 'gzip', gunzipSync],
      ['br;q=0, gzip;q=0.5', 'gzip', gunzipSync],
      ['', undefined, (bytes) => bytes],
      ['identity', undefined, (bytes) => bytes],
    ]
    for (const [accepted, coding, undo] of rows) {
      const answer = await read(path, { 'accept-encoding': accepted })
      assert.equal(answer.headers['content-encoding'], coding, accepted)
      assert.equal(String(undo(answer.bytes)), script)
      assert.equal(answer.headers['content-type'], 'text/javascript; charset=utf-8')
      assert.match(String(answer.headers.vary), /Accept-Encoding/)
    }
    const style = await read('/ui/assets/main-E5f6G7h8.css', { 'accept-encoding': 'br' })
    assert.deepEqual([style.headers['content-encoding'], style.text], [undefined, 'body{}'])
  })

  it('has no icon of the old place, which browsers ask for beside any document, and no error for it', async () => {
    const { code, text } = await read('/favicon.ico')
    assert.deepEqual([code, text], [204, ''])
  })

  it('is the files that were listed, and no path of a client leads to another one', async () => {
    for (const path of [
      '/ui/nothing.js',
      '/ui/.vite/manifest.json',
      '/ui/../package.json',
      '/ui/%2e%2e/package.json',
      '/ui/..%2fpackage.json',
      '/ui/assets/../../../../etc/passwd',
      '/ui//etc/passwd',
      '/ui/assets',
      '/ui/assets/',
      '/ui/assets/link-A1b2C3d4.txt',
      '/ui/assets/main-B1a2C3d4.js.br',
      '/ui/index.html/',
      '/ui/constructor',
      '/ui/assets/plain.js%00',
    ]) {
      const { code, json, headers } = await read(path)
      assert.deepEqual([code, json?.reason], [404, 'NotFound'], path)
      assert.equal(headers['x-content-type-options'], 'nosniff')
    }
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
      const { code, json } = await read('/ui/favicon.svg', {}, method)
      assert.deepEqual([code, json?.reason], [405, 'MethodNotAllowed'], method)
    }
  })

  it('lets a browser run nothing of others, on every answer', async () => {
    for (const path of ['/', '/ui/favicon.svg', '/ui/missing', '/ui-version']) {
      const { headers } = await read(path, { accept: browser, host: 'localhost:6443' })
      assert.equal(
        headers['content-security-policy'],
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; connect-src 'self' wss://localhost:6443; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
      )
      assert.equal(headers['x-content-type-options'], 'nosniff')
      assert.equal(headers['referrer-policy'], 'no-referrer')
      assert.equal(headers['cross-origin-opener-policy'], 'same-origin')
    }
  })

  it('is served over HTTP/2 as well, under the name that the client requested', async () => {
    const session = connect(`https://127.0.0.1:${cluster.port}`, { ca: cluster.keys.ca })
    try {
      const stream = session.request({ ':path': '/ui/', accept: browser })
      const headers = await new Promise<Record<string, unknown>>((resolve) => stream.once('response', resolve))
      stream.resume()
      assert.equal(headers[':status'], 200)
      assert.match(String(headers['content-security-policy']), new RegExp(`wss://127.0.0.1:${cluster.port};`))
    } finally {
      session.destroy()
    }
  })

  it('has a version that changes with every build, which an open page can read', async () => {
    const { json, headers } = await read('/ui-version')
    assert.deepEqual(Object.keys(json), ['version', 'build'])
    assert.equal(headers['cache-control'], 'no-store')
    await writeFile(join(folder, 'assets/new-Z9y8X7w6.js'), '2')
    await writeFile(join(folder, 'index.html'), `${index}<!-- new -->`)
    const next = await read('/ui-version')
    assert.notEqual(next.json.build, json.build)
    assert.equal((await read('/ui/assets/new-Z9y8X7w6.js')).text, '2')
    await writeFile(join(folder, 'assets/new-Z9y8X7w6.js.gz'), gzipSync('2'))
    const { headers: late } = await read('/ui/assets/new-Z9y8X7w6.js', { 'accept-encoding': 'gzip' })
    assert.equal(late['content-encoding'], 'gzip', 'the build goes on after its page is there')
  })

  it('that was removed is a page that says how to build it', async () => {
    await rm(join(folder, 'index.html'))
    const page = await read('/', { accept: browser })
    assert.equal(page.code, 503)
    assert.match(page.text, /npm run build:ui/)
    assert.match(String(page.headers['content-security-policy']), /script-src 'self'/)
    assert.equal((await read('/ui-version')).json.build, null)
    assert.equal((await read('/ui/favicon.svg')).code, 404)
    await writeFile(join(folder, 'index.html'), index)
    assert.equal((await read('/', { accept: browser })).text, index)
  })
})
