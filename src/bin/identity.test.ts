import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { openMemoryStore } from '#kit/machinery/store/memory.ts'
import { type DataDir, dataDirAt } from './data-dir.ts'
import { claimDataDir } from './identity.ts'

const uid = '00000000-0000-4000-8000-000000000001'

async function open(t: TestContext, has: { sandboxes?: boolean; store?: boolean; identity?: string } = {}) {
  const root = await mkdtemp(join(tmpdir(), 'pb-'))
  t.after(() => rm(root, { recursive: true, force: true }))
  const dir = dataDirAt(root)
  if (has.sandboxes) await mkdir(join(dir.pods, uid), { recursive: true })
  if (has.store ?? true) await writeFile(dir.store, '')
  if (has.identity !== undefined) await writeFile(join(root, 'identity.json'), has.identity)
  return dir
}

async function storeOf(cluster: string | undefined, ...nodes: readonly string[]) {
  const store = openMemoryStore()
  const put = (key: string, metadata: object) =>
    store.update(key, () => ({ type: 'put', value: { metadata } as never }))
  if (cluster !== undefined) await put('/core/namespaces/kube-system', { name: 'kube-system', uid: cluster })
  for (const name of nodes) await put(`/core/nodes/${name}`, { name })
  return store
}

const written = async (dir: DataDir) => JSON.parse(await readFile(join(dir.root, 'identity.json'), 'utf8'))
const identity = (over: object = {}) => JSON.stringify({ layout: 1, node: 'a', cluster: 'c1', ...over })

test('a data directory remembers its node and its cluster, for root only', async (t) => {
  const dir = await open(t)
  const claim = await claimDataDir(dir, 'a')
  assert.equal(await claim.admit(await storeOf(undefined)), 'a')
  await claim.keep('a', 'c1')
  assert.deepEqual(await written(dir), { layout: 1, node: 'a', cluster: 'c1' })
  assert.equal((await stat(join(dir.root, 'identity.json'))).mode & 0o777, 0o600)
  const again = await claimDataDir(dir, undefined)
  assert.equal(await again.admit(await storeOf('c1', 'a')), 'a')
})

test('a data directory is not started as another node, and its text says what to do', async (t) => {
  const dir = await open(t, { identity: identity() })
  await assert.rejects(claimDataDir(dir, 'b'), {
    kind: 'Invalid',
    message: `The data directory ${dir.root} is the one of node "a", not of "b"; start it with --node a or without --node, or give node "b" another --data-dir`,
  })
})

for (const [what, store, cluster, text] of [
  [
    'a missing',
    false,
    undefined,
    /has 1 sandbox with guests that may run, and its store \S+ is missing; nothing was changed/,
  ],
  ['an empty', true, undefined, /its store \S+ is empty/],
  ['a foreign', true, 'c2', /its store \S+ is of another cluster \(c2, not c1\)/],
] as const)
  test(`${what} store beside sandboxes is refused with what to do`, async (t) => {
    const dir = await open(t, { sandboxes: true, store, identity: identity() })
    const admitted = async () => (await claimDataDir(dir, undefined)).admit(await storeOf(cluster, 'a'))
    await assert.rejects(admitted, (error: Error & { kind: string }) => {
      assert.equal(error.kind, 'Invalid')
      assert.match(error.message, text)
      assert.match(
        error.message,
        /Put the store of these guests back \(or restore a backup of it\), or stop them with: patchbay down --data-dir \S+, after which patchbay up starts afresh$/,
      )
      return true
    })
  })

test('a directory without sandboxes begins with any store', async (t) => {
  const dir = await open(t, { identity: identity(), store: false })
  // A folder that is not a sandbox does not count.
  await mkdir(join(dir.pods, 'lost+found'), { recursive: true })
  const claim = await claimDataDir(dir, undefined)
  assert.equal(await claim.admit(await storeOf('c2')), 'a')
  await claim.keep('a', 'c2')
  assert.equal((await written(dir)).cluster, 'c2')
})

test('a directory of the layout before is taken over as the node its store knows', async (t) => {
  const dir = await open(t, { sandboxes: true })
  const own = hostname().toLowerCase()
  const admit = async (wanted: string | undefined, ...nodes: readonly string[]) =>
    (await claimDataDir(dir, wanted)).admit(await storeOf('c1', ...nodes))
  assert.equal(await admit(undefined, 'old-name'), 'old-name')
  assert.equal(await admit(undefined, 'other', own), own)
  assert.equal(await admit('b', 'a', 'b'), 'b')
  await assert.rejects(
    admit('c', 'a', 'b'),
    /has sandboxes of one of the nodes a, b, not of "c"; start it with the --node/,
  )
})

for (const [what, text, message] of [
  [
    'of a newer layout',
    identity({ layout: 2 }),
    /is of a newer version of Patchbay \(layout 2, this one knows 1\); start that version/,
  ],
  ['that is damaged', '{"layout":1', /identity.json is damaged; put it back, or remove it/],
  ['that lacks something', '{"layout":1,"node":"a"}', /identity.json is damaged/],
] as const)
  test(`an identity ${what} is refused with a sentence`, async (t) => {
    await assert.rejects(claimDataDir(await open(t, { identity: text }), undefined), { kind: 'Invalid', message })
  })
