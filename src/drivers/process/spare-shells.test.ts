import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { type TestContext, test } from 'node:test'
import { eventually } from '#base/wait.ts'
import { SpareShells, type Spawn } from './spare-shells.ts'

/** Runs a program to its end. */
function run(spawn: Spawn, [program = '', ...args]: readonly string[], env: Record<string, string>, input = '') {
  return new Promise<{ pid: number | undefined; code: number | null; out: string; err: string }>((resolve, reject) => {
    const child = spawn(program, args, env)
    let [out, err] = ['', '']
    child.stdout.on('data', (chunk: Buffer) => (out += chunk))
    child.stderr.on('data', (chunk: Buffer) => (err += chunk))
    child.on('error', reject)
    child.on('close', (code) => resolve({ pid: child.pid, code, out, err }))
    child.stdin.on('error', () => undefined)
    child.stdin.end(input)
  })
}

/** Shells of which one waits already. */
async function withSpare(t: TestContext, count = 1) {
  const shells = new SpareShells(count)
  t.after(() => shells.close())
  await run(shells.spawn, ['true'], path)
  const spares = () => childrenWaiting()
  await eventually('a shell waits', async () => (await spares()).length === count, { deadlineMs: 10_000, everyMs: 20 })
  return { shells, spares }
}

const path = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' }

/** Process ids of the shells of this process that wait for their line. */
async function childrenWaiting(): Promise<number[]> {
  const text = await readFile(`/proc/self/task/${process.pid}/children`, 'utf8')
  const pids = text.trim().split(' ').filter(Boolean).map(Number)
  const words = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')))
  return pids.filter((_, i) => words[i]?.includes('read -r line'))
}

const odd = ["it's", '"$HOME" `id` $(id) \\n', 'two\nlines\n', '', '*', '-n', 'é \t']

test('a shell that waits becomes the program, which gets its words, its input and its environment as they are', async (t) => {
  const { shells, spares } = await withSpare(t)
  const [spare] = await spares()
  const script = 'process.stdout.write(JSON.stringify([process.argv.slice(1), require("fs").readFileSync(0, "utf8")]))'
  const became = await run(
    shells.spawn,
    [process.execPath, '-e', script, '--', ...odd],
    { ...path, ODD: odd.join('|') },
    'one\ntwo\n',
  )
  assert.equal(became.pid, spare, became.err)
  assert.deepEqual(JSON.parse(became.out), [odd, 'one\ntwo\n'])
  await eventually('another shell waits', async () => (await spares()).length === 1, {
    deadlineMs: 10_000,
    everyMs: 20,
  })
  const { out } = await run(shells.spawn, ['env', '-0'], { ...path, ODD: odd.join('|'), A: '1' })
  const env = Object.fromEntries(out.split('\0').map((one) => one.split(/=(.*)/s).slice(0, 2)))
  assert.equal(env.ODD, odd.join('|'))
  assert.equal(env.A, '1')
  assert.equal(env.HOME, undefined)
})

test('how a program ends is told, whether a shell became it or not', async (t) => {
  const { shells } = await withSpare(t)
  for (const from of ['a shell that waits', 'nothing']) {
    const failed = await run(shells.spawn, ['sh', '-c', 'cat; echo no >&2; exit 7'], path, 'input')
    assert.deepEqual([failed.code, failed.out, failed.err], [7, 'input', 'no\n'], from)
  }
})

test('a shell that was killed while it waited is not taken', async (t) => {
  const { shells, spares } = await withSpare(t)
  const [spare = 0] = await spares()
  process.kill(spare, 'SIGKILL')
  await eventually('it is gone', async () => !(await spares()).includes(spare), { deadlineMs: 10_000, everyMs: 5 })
  const { code, out, pid } = await run(shells.spawn, ['echo', 'hello'], path)
  assert.deepEqual([code, out], [0, 'hello\n'])
  assert.notEqual(pid, spare)
})

test('no more shells wait than there are to be, and they end with the server', async (t) => {
  const { shells, spares } = await withSpare(t, 2)
  await Promise.all([1, 2, 3].map(() => run(shells.spawn, ['true'], path)))
  await eventually('two wait', async () => (await spares()).length === 2, { deadlineMs: 10_000, everyMs: 20 })
  shells.close()
  await eventually('none waits', async () => (await spares()).length === 0, { deadlineMs: 10_000, everyMs: 5 })
})
