import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { endOrphanedPlugins, ownerVariable } from './orphaned-plugins.ts'

const isRoot = process.getuid?.() === 0

/** A process that looks like a plugin of `owner`; `uid` runs it. */
async function pretend(owner: string, uid: number): Promise<ChildProcess> {
  const env = { PATH: process.env.PATH, [ownerVariable]: owner, CNI_COMMAND: 'DEL' }
  const child = spawn('sleep', ['600'], { env, uid, gid: uid, stdio: 'ignore' })
  await once(child, 'spawn')
  return child
}

test('only processes of root are taken for plugins', { skip: !isRoot && 'needs root' }, async (t) => {
  const owner = `/tmp/orphans-${process.pid}`
  const [own, foreign] = [await pretend(owner, 0), await pretend(owner, 65_534)]
  t.after(() => {
    for (const child of [own, foreign]) child.kill('SIGKILL')
  })
  const ended = once(own, 'exit')
  await endOrphanedPlugins(owner, async () => false)
  assert.deepEqual(await ended, [null, 'SIGKILL'])
  assert.equal(foreign.exitCode ?? foreign.signalCode, null)
})
