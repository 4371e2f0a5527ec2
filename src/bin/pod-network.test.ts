import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { silent } from '#base/log.ts'
import { dataDirAt } from './data-dir.ts'
import { podBridgeOf, podCidrOf, podNetworkIn, settlePodNetwork } from './pod-network.ts'

async function open(t: TestContext) {
  const root = await mkdtemp(join(tmpdir(), 'pb-net-'))
  t.after(() => rm(root, { recursive: true }))
  const dir = dataDirAt(root)
  await mkdir(dir.pods)
  return { dir, addPod: () => mkdir(join(dir.pods, randomUUID())) }
}

// From the range for documentation, to which no host has routes.
const documented = { subnet: '198.51.100.0/24' }

test('a data directory keeps the pod network it was started with, and takes another one while it has no pods', async (t) => {
  const { dir, addPod } = await open(t)
  assert.deepEqual(await podNetworkIn(dir), { bridge: 'patchbay0', subnet: '10.244.0.0/23' })
  const first = await settlePodNetwork(dir, { bridge: 'pods', ...documented }, silent)
  assert.deepEqual(first, { bridge: 'pods', ...documented })
  assert.deepEqual([await podNetworkIn(dir), await settlePodNetwork(dir, {}, silent)], [first, first])
  const second = await settlePodNetwork(dir, { bridge: 'pods1' }, silent)
  assert.deepEqual(second, { bridge: 'pods1', ...documented })
  await addPod()
  assert.deepEqual(await settlePodNetwork(dir, second, silent), second)
  await assert.rejects(settlePodNetwork(dir, { bridge: 'pods2' }, silent), {
    kind: 'Invalid',
    message: /The 1 pod\(s\) .* are on bridge pods1 with addresses of 198.51.100.0\/24; start without --pod-bridge/,
  })
  assert.deepEqual(await podNetworkIn(dir), second)
})

test('a data directory from before keeps the addresses its pods have', async (t) => {
  const { dir, addPod } = await open(t)
  await addPod()
  assert.deepEqual(await podNetworkIn(dir), { bridge: 'patchbay0', subnet: '10.244.0.0/24' })
})

test('a damaged file is said so, and never replaced', async (t) => {
  const { dir } = await open(t)
  for (const text of ['', '{', '[]', '{"bridge":"a"}', '{"bridge":"a","subnet":"10.0.0.1/8"}']) {
    await writeFile(join(dir.root, 'pod-network.json'), text)
    await assert.rejects(
      settlePodNetwork(dir, {}, silent),
      { kind: 'Invalid', message: /pod-network.json is damaged/ },
      text,
    )
  }
})

test('options that are no network or no name are refused in words', () => {
  assert.equal(podCidrOf('--pod-cidr', '10.9.0.0/16'), '10.9.0.0/16')
  for (const bad of ['10.9.0.1/16', '10.9.0.0/31', '10.0.0.0/7', 'fd00::/64', ''])
    assert.throws(() => podCidrOf('--pod-cidr', bad), {
      kind: 'Invalid',
      message: /^--pod-cidr .* is no IPv4 network of/,
    })
  assert.equal(podBridgeOf('--pod-bridge', 'pods.1'), 'pods.1')
  for (const bad of ['', '1a', 'a b', 'a/b', 'a'.repeat(16), '../x'])
    assert.throws(() => podBridgeOf('--pod-bridge', bad), {
      kind: 'Invalid',
      message: /cannot be the name of a bridge/,
    })
})
