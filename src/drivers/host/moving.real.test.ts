import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import fs from 'node:fs'
import { copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { mock, test } from 'node:test'
import { delay, eventually } from '#base/wait.ts'
import { findProcess } from '../libvirt/daemon/process.ts'
import { guestProcesses, killGuestProcesses } from './moving.ts'

/** How long a process that was killed seems to be there, milliseconds: as one that has gigabytes to give back. */
const dyingMs = 200

test('a guest that takes long to die is waited for without looking through the host’s processes again and again', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'pb-'))
  const children: ChildProcess[] = []
  t.after(async () => {
    for (const child of children) child.kill('SIGKILL')
    await rm(dir, { recursive: true, force: true })
  })
  await mkdir(join(dir, 'run'))
  await copyFile('/bin/sleep', join(dir, 'qemu-system-x'))
  for (let i = 0; i < 2; i++)
    children.push(
      spawn('unshare', ['--mount', 'sh', '-c', `mount --bind ${dir}/run /run && exec ${dir}/qemu-system-x 60`]),
    )
  await eventually('both are found', async () => (await guestProcesses(dir)).length === 2)
  const found = await guestProcesses(dir)
  // A signal that does not come through at once.
  const kill = process.kill.bind(process)
  const slow = mock.method(process, 'kill', (pid: number, signal: NodeJS.Signals) => {
    void delay(dyingMs).then(() => kill(pid, signal))
    return true
  })
  const looks = mock.method(fs, 'readdirSync')
  syncBuiltinESMExports()
  t.after(() => {
    mock.restoreAll()
    syncBuiltinESMExports()
  })
  await killGuestProcesses(dir)
  assert.equal(slow.mock.callCount(), 2)
  for (const { pid } of found) assert.equal(await findProcess(pid), undefined)
  assert.equal(looks.mock.callCount(), 2)
})
