import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { ipBatch, listLinks, readLinks } from './links.ts'

const signal = AbortSignal.timeout(60_000)

/** The files of a link; a carrier is there only while it is up. */
const link = (flags: string, more: Readonly<Record<string, string>> = {}) => ({
  ...{ flags, mtu: '1450', address: '02:00:00:00:00:01' },
  ...more,
})

test('links are read as the kernel shows them; one that goes away meanwhile is left out', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'pb-sys-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  for (const [name, files] of Object.entries({
    up: link('0x1003', { carrier: '1' }),
    cut: link('0x1003', { carrier: '0' }),
    down: link('0x1002', { carrier: '1' }),
    port: link('0x1003', { carrier: '1', mtu: '9000' }),
    gone: { flags: '0x1003' },
  })) {
    await mkdir(join(folder, name))
    for (const [file, text] of Object.entries(files)) await writeFile(join(folder, name, file), `${text}\n`)
  }
  await symlink('../up', join(folder, 'port/master'))
  const address = '02:00:00:00:00:01'
  assert.deepEqual(Object.fromEntries(readLinks(folder)), {
    up: { ifname: 'up', mtu: 1450, address, isUp: true, hasCarrier: true },
    cut: { ifname: 'cut', mtu: 1450, address, isUp: true, hasCarrier: false },
    down: { ifname: 'down', mtu: 1450, address, isUp: false },
    port: { ifname: 'port', mtu: 9000, address, isUp: true, hasCarrier: true, master: 'up' },
  })
})

test('files and the program say the same of the links of this host', async () => {
  const listed = await listLinks(undefined, signal)
  assert.ok(listed.has('lo'))
  assert.deepEqual(readLinks('/sys/class/net').get('lo'), listed.get('lo'))
})

test('no commands are no process, and the first that fails ends a batch', async () => {
  await ipBatch(undefined, [], AbortSignal.abort())
  const batch = ['link show lo', 'link show pb-no-such', 'link show pb-neither']
  await assert.rejects(ipBatch(undefined, batch, signal), (error: Error) => {
    assert.match(error.message, /"pb-no-such" does not exist/)
    return !error.message.includes('pb-neither')
  })
})
