import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { cgroupDoors, ensureCgroups, removeCgroups, sandboxMaxBytes } from './cgroup.ts'

const dir = '/x/pods/u-1'

/** A folder that looks like a mount of cgroups: with these hierarchies of version 1, and these controllers of version 2. */
async function mountLike(t: TestContext, first: readonly string[], second?: string): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'patchbay-test-'))
  t.after(() => rm(root, { recursive: true }))
  for (const name of first) {
    await mkdir(join(root, name))
    await writeFile(join(root, name, 'cgroup.procs'), '')
  }
  if (second === undefined) return root
  await writeFile(join(root, 'cgroup.procs'), '')
  await writeFile(join(root, 'cgroup.subtree_control'), `${second}\n`)
  return root
}

const text = (...path: string[]) => readFile(join(...path), 'utf8')

test('a sandbox is held to its memory in version 2 of cgroups', async (t) => {
  const root = await mountLike(t, [], 'cpu memory pids')
  assert.deepEqual(await ensureCgroups(dir, 1000, root), [])
  assert.equal(await text(root, 'patchbay-u-1', 'memory.max'), '1000')
  assert.equal(await text(root, 'patchbay-u-1', 'pids.max'), '4096')
})

test('a sandbox is held to its memory in version 1 of cgroups', async (t) => {
  const root = await mountLike(t, ['memory', 'pids', 'cpu'])
  assert.deepEqual(await ensureCgroups(dir, 1000, root), [])
  assert.equal(await text(root, 'memory', 'patchbay-u-1', 'memory.limit_in_bytes'), '1000')
  assert.equal(await text(root, 'pids', 'patchbay-u-1', 'pids.max'), '4096')
  assert.deepEqual(await readdir(join(root, 'cpu')), ['cgroup.procs'])
  await writeFile(join(root, 'pids', 'patchbay-u-1', 'cgroup.procs'), '')
  assert.deepEqual(await cgroupDoors(dir, root), [join(root, 'pids', 'patchbay-u-1', 'cgroup.procs')])
})

test('what a host does not let us limit is told, and nothing is changed there', async (t) => {
  const hybrid = await mountLike(t, ['pids'], 'cpu')
  assert.deepEqual(await ensureCgroups(dir, 1000, hybrid), ['memory'])
  assert.equal(await text(hybrid, 'cgroup.subtree_control'), 'cpu\n')
  assert.deepEqual((await readdir(hybrid)).toSorted(), ['cgroup.procs', 'cgroup.subtree_control', 'pids'])
  const none = await mountLike(t, [])
  assert.deepEqual(await ensureCgroups(dir, 1000, none), ['memory', 'pids'])
  assert.deepEqual(await cgroupDoors(dir, none), [])
  await removeCgroups(dir, none)
})

test('the limit leaves a guest room beside the memory of its pod', () => {
  assert.equal(sandboxMaxBytes(0), 256 * 2 ** 20)
  assert.equal(sandboxMaxBytes(2 ** 30), 1.25 * 2 ** 30 + 256 * 2 ** 20)
})
