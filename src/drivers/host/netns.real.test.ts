import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { copyFile, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { eventually } from '#base/wait.ts'
import { ensureNetns, netnsName, netnsPath, processesIn, removeNetns } from './netns.ts'
import { run } from './run.ts'

const signal = AbortSignal.timeout(60_000)

/** A name that is free, which the test leaves free again. */
function freeName(t: TestContext): string {
  const name = netnsName(randomUUID())
  t.after(() => removeNetns(name, AbortSignal.timeout(10_000)))
  return name
}

const inodeOf = async (path: string) => (await stat(path)).ino
const own = () => inodeOf('/proc/self/ns/net')

test('a namespace of ours is found again, and every other one loses the name', async (t) => {
  const name = freeName(t)
  const first = await ensureNetns(name, { isOurs: () => false }, signal)
  assert.equal(await ensureNetns(name, { isOurs: (inode) => inode === first }, signal), first)
  // Somebody is in it, so that it stays and its number is not given away again.
  const held = spawn('nsenter', [`--net=${netnsPath(name)}`, 'sleep', '60'])
  t.after(() => held.kill())
  await eventually('it is held', async () => (await inodeOf(`/proc/${held.pid}/ns/net`)) === first)
  const second = await ensureNetns(name, { isOurs: () => false }, signal)
  assert.notEqual(second, first)
  assert.equal(await inodeOf(`/proc/${held.pid}/ns/net`), first)
  // A process that is in the namespace gives it its name back.
  assert.equal(await ensureNetns(name, { holder: held.pid, isOurs: () => true }, signal), first)
  assert.equal(await inodeOf(netnsPath(name)), first)
})

test('a file, and the namespace of the host under that name, are replaced and never entered', async (t) => {
  const name = freeName(t)
  await writeFile(netnsPath(name), '')
  const first = await ensureNetns(name, { isOurs: () => true }, signal)
  await removeNetns(name, signal)
  await writeFile(netnsPath(name), '')
  await run('mount', ['--bind', '/proc/self/ns/net', netnsPath(name)], { signal })
  assert.equal(await inodeOf(netnsPath(name)), await own())
  const second = await ensureNetns(name, { isOurs: () => true }, signal)
  assert.notEqual(second, await own())
  assert.ok(first > 0)
})

test('no process of another namespace is taken for one of a sandbox', async (t) => {
  const name = freeName(t)
  const folder = await mkdtemp(join(tmpdir(), 'pb-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  await copyFile('/bin/sleep', join(folder, 'dnsmasq'))
  const inode = await ensureNetns(name, { isOurs: () => false }, signal)
  const inside = spawn('nsenter', [`--net=${netnsPath(name)}`, join(folder, 'dnsmasq'), '60'])
  const outside = spawn(join(folder, 'dnsmasq'), ['60'])
  t.after(() => [inside, outside].map((one) => one.kill()))
  await eventually('it is found', async () => (await processesIn(name, inode)).join() === String(inside.pid))
  assert.deepEqual(await processesIn(name, inode + 1), [])
  await removeNetns(name, signal)
  await writeFile(netnsPath(name), '')
  await run('mount', ['--bind', '/proc/self/ns/net', netnsPath(name)], { signal })
  assert.deepEqual(await processesIn(name), [])
})
