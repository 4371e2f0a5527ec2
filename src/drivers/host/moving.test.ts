import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { MigrationOptions } from '#core/ports.ts'
import { migrateFlags } from '../libvirt/rpc/flags.ts'
import type { Libvirt } from '../libvirt/rpc/libvirt.ts'
import type { Domain } from '../libvirt/rpc/procedures.ts'
import { CapabilityCache } from './capabilities.ts'
import { migrateGuest, shareImages } from './moving.ts'

async function folders(t: TestContext) {
  const dir = await mkdtemp(join(tmpdir(), 'pb-mv-'))
  t.after(() => rm(dir, { recursive: true, force: true }))
  const write = async (path: string, text: string) => {
    await mkdir(join(dir, path, '..'), { recursive: true })
    await writeFile(join(dir, path), text)
  }
  const at = (path: string) => join(dir, path)
  return { at, write, read: (path: string) => readFile(at(path), 'utf8') }
}

test('a guest finds the files it was booted from where it goes, whatever was there', async (t) => {
  const { at, write, read } = await folders(t)
  await shareImages(at('from'), at('to'))
  await write('from/run/images/demo/kernel', 'old')
  await write('to/run/images/demo/kernel', 'new')
  await write('to/run/images/demo/more', 'x')
  await write('to/run/images/other/kernel', 'kept')
  for (const _ of [1, 2]) await shareImages(at('from'), at('to'))
  assert.deepEqual(await readdir(at('to/run/images/demo')), ['kernel'])
  const inode = async (path: string) => (await stat(at(path))).ino
  assert.equal(await inode('to/run/images/demo/kernel'), await inode('from/run/images/demo/kernel'))
  assert.equal(await read('to/run/images/other/kernel'), 'kept')
})

test('what libvirt found out about QEMU is given to new sandboxes, and kept once', async (t) => {
  const { at, write, read } = await folders(t)
  const inside = 'var/cache/libvirt/qemu/capabilities'
  const cache = new CapabilityCache(at('cache'))
  await cache.seed(at('a'))
  await cache.save(at('a'))
  assert.deepEqual(await readdir(at('')), [], 'nothing is known yet')
  await write(`a/${inside}/x.xml`, 'first')
  await write(`a/${inside}/x.xml.new`, 'half written')
  await cache.save(at('a'))
  assert.deepEqual(await readdir(at('cache')), ['x.xml'])
  await cache.seed(at('b'))
  assert.equal(await read(`b/${inside}/x.xml`), 'first')
  await write(`b/${inside}/x.xml`, 'second')
  await cache.save(at('b'))
  assert.equal(await read('cache/x.xml'), 'first', 'once in a process')
})

const isRoot = process.getuid?.() === 0

for (const [what, options, flags, more] of [
  [
    'without limits',
    { maxDowntimeMs: 300, isAutoConverging: false },
    migrateFlags.paused | migrateFlags.unsafe | migrateFlags.abortOnError,
    {},
  ],
  [
    'with all of them',
    { maxDowntimeMs: 50, isAutoConverging: true, bandwidthMiBs: 64 },
    migrateFlags.paused | migrateFlags.unsafe | migrateFlags.abortOnError | migrateFlags.autoConverge,
    { bandwidthMiBs: 64 },
  ],
] satisfies [string, MigrationOptions, number, object][])
  test(`a guest is sent ${what} to a second name of the target’s socket`, {
    skip: !isRoot && 'needs root',
  }, async (t) => {
    const { at, write } = await folders(t)
    // A leftover of a migration that was cut short.
    await write('source/run/migration/m/libvirt-sock', 'stale')
    await write('target/run/libvirt/libvirt-sock', 'socket')
    await write('source/run/disks/late.img', 'a disk that was plugged after the target was made')
    const calls: unknown[] = []
    const libvirt = {
      setMaxDowntime: async (_: unknown, ms: number) => void calls.push(ms),
      migrate: async (_: unknown, how: unknown) => void calls.push(how),
    } as unknown as Libvirt
    const migrationSocketDir = { dir: at('source'), name: 'm' }
    await migrateGuest({ libvirt, guest: {} as Domain, migrationSocketDir, user: 64_055 }, at('target'), options)
    const inode = async (path: string) => (await stat(at(path))).ino
    assert.equal(await inode('source/run/migration/m/libvirt-sock'), await inode('target/run/libvirt/libvirt-sock'))
    assert.equal(await inode('target/run/disks/late.img'), await inode('source/run/disks/late.img'))
    const destination = 'qemu+unix:///system?socket=/run/migration/m/libvirt-sock'
    const migrateUri = 'unix:///run/migration/m/qemu/qemu.sock'
    assert.deepEqual(calls, [options.maxDowntimeMs, { destination, migrateUri, flags, ...more }])
  })
