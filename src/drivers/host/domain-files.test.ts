import assert from 'node:assert/strict'
import { watch as watchFolder } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type Log, silent } from '#base/log.ts'
import { eventually } from '#base/wait.ts'
import { dhcpFolder, leaseSuffix } from '../dhcp/dnsmasq.ts'
import { unlessSeen, watchDomainFiles, watchLeases } from './domain-files.ts'

test('what libvirt writes is passed on once it rests, unless the guest was looked at since', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  let [nowMs, seenMs, told] = [1000, 0, 0]
  t.mock.method(performance, 'now', () => nowMs)
  const written = unlessSeen(
    () => seenMs,
    () => told++,
  )
  const pass = (ms: number) => {
    nowMs += ms
    t.mock.timers.tick(ms)
  }
  written()
  pass(30)
  written()
  assert.equal(told, 0)
  pass(20)
  assert.equal(told, 1, 'many changes are one')
  written()
  pass(10)
  seenMs = nowMs
  pass(40)
  assert.equal(told, 1, 'it was looked at after the change')
  written()
  pass(10)
  seenMs = nowMs
  pass(10)
  written()
  pass(30)
  assert.equal(told, 2, 'the last change came after the look')
})

async function sandbox(t: TestContext) {
  const dir = await mkdtemp(join(tmpdir(), 'pb-df-'))
  t.after(() => rm(dir, { recursive: true, force: true }))
  return dir
}

for (const [what, watch, folderOf, suffix] of [
  ['states of its guest', watchDomainFiles, (dir: string) => join(dir, 'run/libvirt/qemu'), '.xml'],
  ['leases', watchLeases, dhcpFolder, leaseSuffix],
] as const)
  test(`a sandbox is watched for ${what}, and for no other files, until that is ended`, async (t) => {
    const dir = await sandbox(t)
    const folder = folderOf(dir)
    await mkdir(folder, { recursive: true })
    const counts = { first: 0, second: 0 }
    /** Every file that changes; both are told of a change at once. */
    const seen = new Set<string | null>()
    const all = watchFolder(folder, { persistent: false }, (_event, file) => void seen.add(file))
    t.after(() => all.close())
    const end = watch(dir, () => counts.first++, silent)
    t.after(end)
    const write = async (name: string) => {
      await writeFile(join(folder, name), name)
      await eventually(`${name} is noticed`, async () => seen.has(name))
    }
    await write('other.pid')
    assert.equal(counts.first, 0)
    await write(`one${suffix}`)
    await eventually('it is passed on', async () => counts.first > 0)
    end()
    const { first } = counts
    const later = watch(dir, () => counts.second++, silent)
    t.after(later)
    await write(`two${suffix}`)
    await eventually('another watch goes on', async () => counts.second > 0)
    assert.equal(counts.first, first)
  })

test('a folder that is not there is reported, and watching it is no failure', async (t) => {
  const lines: string[] = []
  const log = { ...silent, warn: (_: unknown, message: string) => void lines.push(message) } as Log
  watchLeases(await sandbox(t), () => undefined, log)()
  assert.deepEqual(lines, ['Cannot watch a folder of a sandbox'])
})
