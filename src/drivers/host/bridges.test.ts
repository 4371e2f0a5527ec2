import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { silent } from '#base/log.ts'
import { bridgesOf, HostBridges } from './bridges.ts'

const signal = AbortSignal.timeout(60_000)
/** A link that every host has, and one that none has. */
const [there, missing] = ['lo', 'pb-no-such']
const bridge = (name?: unknown) => ({ type: 'bridge', ...(name !== undefined && { bridge: name }) })

for (const [what, config, expected] of [
  ['a single configuration', bridge('br1'), ['br1']],
  ['one without a name', bridge(), ['cni0']],
  ['a list', { plugins: [bridge('br1'), { type: 'tuning', bridge: 'no' }, bridge('br2')] }, ['br1', 'br2']],
  ['other plugins', { plugins: [{ type: 'macvlan', master: 'br1' }] }, []],
  ['what is no configuration', 'text', []],
] as const)
  test(`the bridges of ${what}`, () => assert.deepEqual(bridgesOf(config), expected))

for (const name of ['', 'sixteen-letters-', 'a b', 'a/b', '.', '..', 7, null])
  test(`no bridge can be called ${JSON.stringify(name)}`, () => {
    const claim = () => bridgesOf({ plugins: [{ type: 'bridge', bridge: name ?? {} }] })
    assert.throws(claim, { kind: 'Invalid', message: /cannot be the name of a bridge; use at most 15 letters/ })
  })

async function open(t: TestContext) {
  const dir = await mkdtemp(join(tmpdir(), 'pb-br-'))
  t.after(() => rm(dir, { recursive: true, force: true }))
  const file = join(dir, 'host.json')
  return { file, bridges: new HostBridges(file, silent) }
}

test('a bridge is recorded before it is made, for the next process too; one that is there is not', async (t) => {
  const { file, bridges } = await open(t)
  assert.equal(await bridges.any(), false)
  await Promise.all([
    bridges.claim(bridge(missing), 'ns/red', signal),
    bridges.claim(bridge('pb-another'), 'ns/blue', signal),
    bridges.claim(bridge(there), 'ns/red', signal),
  ])
  assert.deepEqual(JSON.parse(await readFile(file, 'utf8')), {
    bridges: { [missing]: 'ns/red', 'pb-another': 'ns/blue' },
  })
  const next = new HostBridges(file, silent)
  assert.deepEqual([await next.isOwn(missing), await next.isOwn(there), await next.any()], [true, false, true])
})

test('a claim that cannot be made does not stop the next one', async (t) => {
  const { bridges } = await open(t)
  await assert.rejects(bridges.claim(bridge('a b'), 'ns/red', signal), { kind: 'Invalid' })
  await bridges.claim(bridge(missing), 'ns/red', signal)
  assert.equal(await bridges.isOwn(missing), true)
})

test('a bridge of the pod network that is there has to be Patchbay’s own', async (t) => {
  const { bridges } = await open(t)
  await bridges.requireOwn(missing, signal)
  await assert.rejects(bridges.requireOwn(there, signal), {
    kind: 'Unavailable',
    message: /^the bridge lo of the pod network is there .*ip link delete lo$/,
  })
})

test('what is gone and unused is forgotten; what is used is not', async (t) => {
  const { bridges } = await open(t)
  await bridges.claim(bridge(missing), 'ns/red', signal)
  await bridges.sweep((network) => network !== 'ns/red', signal)
  assert.equal(await bridges.any(), true)
  await bridges.sweep((network) => network === 'ns/red', signal)
  assert.equal(await bridges.any(), false)
})
