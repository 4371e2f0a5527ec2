import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { silent } from '#base/log.ts'
import { createAuthority, issue, isValid } from '#machinery/rest/certificates.ts'
import { openKeys, renewedKeys } from './pki.ts'

const dayMs = 24 * 3600 * 1000
const years = (count: number) => count * 365 * dayMs

async function options(t: TestContext) {
  const root = await mkdtemp(join(tmpdir(), 'pbk-'))
  t.after(() => rm(root, { recursive: true, force: true }))
  return { dir: { root, pki: join(root, 'pki') }, names: ['192.0.2.1'], log: silent }
}

/** Sets the clock of this process. */
function setClock(t: TestContext, nowMs: number): void {
  t.mock.timers.reset()
  t.mock.timers.enable({ apis: ['Date'], now: nowMs })
}

test('keys are made once, and a running server renews what has less than a third of its life left', async (t) => {
  const given = await options(t)
  const start = Date.now()
  const keys = await openKeys(given)
  assert.match(new X509Certificate(keys.server.cert).subjectAltName ?? '', /192\.0\.2\.1/)
  assert.deepEqual((await openKeys(given)).admin, keys.admin, 'the administrator keeps its certificate')
  setClock(t, start + 100 * dayMs)
  assert.equal(await renewedKeys(keys, given), keys, 'nothing is due')
  setClock(t, start + 300 * dayMs)
  const renewed = await renewedKeys(keys, given)
  assert.notEqual(renewed.server.cert, keys.server.cert)
  assert.notEqual(renewed.admin.cert, keys.admin.cert)
  assert.deepEqual(renewed.authority, keys.authority, 'those who have certificates keep them')
  setClock(t, start + 400 * dayMs)
  assert.ok(isValid(renewed.server, renewed.authority, Date.now()))
  assert.ok(!isValid(keys.server, keys.authority, Date.now()))
})

test('keys made while the clock was ahead are good once it is right', async (t) => {
  const given = await options(t)
  const now = Date.now()
  setClock(t, now + 400 * dayMs)
  const keys = await openKeys(given)
  setClock(t, now)
  for (const pair of [keys.authority, keys.server, keys.admin]) assert.ok(isValid(pair, keys.authority, now))
  assert.deepEqual((await openKeys(given)).admin, keys.admin)
})

test('keys made while the clock was far behind are replaced once it is right', async (t) => {
  const given = await options(t)
  const now = Date.now()
  setClock(t, now - years(20))
  const keys = await openKeys(given)
  setClock(t, now)
  const healed = await renewedKeys(keys, given)
  assert.notEqual(healed.authority.cert, keys.authority.cert)
  for (const pair of [healed.authority, healed.server, healed.admin]) assert.ok(isValid(pair, healed.authority, now))
})

test("the operator's own certificate is read again when its file changes, and a bad one changes nothing", async (t) => {
  const plain = await options(t)
  const other = await createAuthority('other')
  const files = { certFile: join(plain.dir.root, 'tls.crt'), keyFile: join(plain.dir.root, 'tls.key') }
  const write = async (pair: { cert: string; key: string }) => {
    await writeFile(files.certFile, pair.cert)
    await writeFile(files.keyFile, pair.key)
  }
  await assert.rejects(openKeys({ ...plain, files }), {
    kind: 'Invalid',
    message: /^Cannot read --tls-(cert|private-key)-file /,
  })
  const first = await issue(other, { use: 'server', names: ['example.org'] })
  await write(first)
  const keys = await openKeys({ ...plain, files })
  assert.deepEqual(keys.given, first)
  assert.equal(await renewedKeys(keys, { ...plain, files }), keys)
  const second = await issue(other, { use: 'server', names: ['example.org'] })
  await write(second)
  const renewed = await renewedKeys(keys, { ...plain, files })
  assert.deepEqual(renewed.given, second)
  assert.deepEqual(renewed.server, keys.server)
  await write({ cert: second.cert, key: first.key })
  assert.equal(await renewedKeys(renewed, { ...plain, files }), renewed)
  await assert.rejects(openKeys({ ...plain, files }), { kind: 'Invalid', message: /are no pair in PEM$/ })
})
