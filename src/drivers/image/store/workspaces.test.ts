import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { eventually } from '#base/wait.ts'
import { FileLock } from './file-lock.ts'
import { Workspaces } from './workspaces.ts'

const signal = new AbortController().signal

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'pb-work-'))
  t.after(() => rm(path, { recursive: true, force: true }))
  return path
}

test('a lock excludes within a process, and goes to the next one that waits', async (t) => {
  const path = join(await folder(t), 'lock')
  const first = FileLock.tryTake(path)
  assert.ok(first)
  assert.equal(FileLock.tryTake(path), undefined)
  let waits = 0
  const second = FileLock.take(path, signal, () => {
    waits += 1
  })
  await eventually('it waits', () => waits > 1)
  await first.release()
  await (await second).release()
})

test('one that waits can give up', async (t) => {
  const path = join(await folder(t), 'lock')
  const first = FileLock.tryTake(path)
  const stop = new AbortController()
  const second = FileLock.take(path, stop.signal)
  stop.abort(new Error('enough'))
  await assert.rejects(second, /enough/)
  await first?.release()
})

test('many that want one lock have it one after the other', async (t) => {
  const path = join(await folder(t), 'lock')
  let [inside, most] = [0, 0]
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      const lock = await FileLock.take(path, signal)
      inside += 1
      most = Math.max(most, inside)
      await new Promise(setImmediate)
      inside -= 1
      await lock.release()
    }),
  )
  assert.equal(most, 1)
})

/** Another process that has the folder of a key and a file in it, until it is killed. */
async function otherProcess(t: TestContext, root: string) {
  const script = `
    const { Workspaces } = await import(${JSON.stringify(new URL('./workspaces.ts', import.meta.url).href)})
    const { writeFile } = await import('node:fs/promises')
    globalThis.kept = await new Workspaces(${JSON.stringify(root)}).take('key', new AbortController().signal)
    await writeFile(globalThis.kept.folder + '/part', 'half')
    console.log('ready')
    setInterval(() => globalThis.kept, 1e6)`
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', script],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  t.after(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  return async () => {
    const exit = once(child, 'exit')
    child.kill('SIGKILL')
    await exit
  }
}

test('what a killed process has left is the begin for the next one', async (t) => {
  const root = join(await folder(t), 'root')
  const kill = await otherProcess(t, root)
  const workspaces = new Workspaces(root)
  await workspaces.sweep()
  let waits = 0
  const taken = workspaces.take('key', signal, () => {
    waits += 1
  })
  await eventually('it waits', () => waits > 1)
  await kill()
  const workspace = await taken
  assert.equal(await readFile(join(workspace.folder, 'part'), 'utf8'), 'half')
  await workspace.release(true)
  assert.equal((await readdir(root)).length, 1)
  const again = await workspaces.take('key', signal)
  await again.release(false)
  assert.deepEqual(await readdir(root), [])
})

test('what no process goes on with is swept away', async (t) => {
  const root = join(await folder(t), 'root')
  const kill = await otherProcess(t, root)
  await kill()
  const workspaces = new Workspaces(root)
  await workspaces.sweep()
  assert.deepEqual(await readdir(root), [])
  const own = await workspaces.take('other', signal)
  await writeFile(join(own.folder, 'part'), 'half')
  await workspaces.sweep()
  assert.equal(await readFile(join(own.folder, 'part'), 'utf8'), 'half')
  await own.release(false)
  await new Workspaces(join(root, 'never')).sweep()
})
