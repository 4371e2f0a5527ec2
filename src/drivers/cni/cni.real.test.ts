import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { Cni } from './cni.ts'

const run = promisify(execFile)
const canRun = process.getuid?.() === 0 && existsSync('/usr/lib/cni/bridge')
const signal = new AbortController().signal

describe("Debian's CNI plugins", {
  skip: canRun ? false : 'needs root and containernetworking-plugins',
  timeout: 60_000,
}, () => {
  const host = `pbh-${randomBytes(3).toString('hex')}`
  const pod = `${host}p`
  const where = { containerId: 'pod-1', netns: `/run/netns/${pod}`, ifName: 'net1' }
  const config = {
    cniVersion: '0.4.0',
    name: 'blue',
    plugins: [
      { type: 'bridge', bridge: 'br-blue', ipam: { type: 'host-local', subnet: '10.77.0.0/24' } },
      { type: 'tuning', mtu: 1400 },
    ],
  }
  let dir = ''
  let cni: Cni
  const links = async (netns: string) => (await run('ip', ['-n', netns, '-br', 'link'])).stdout

  before(async () => {
    dir = await mkdtemp('/tmp/pb-cni-')
    for (const netns of [host, pod]) await run('ip', ['netns', 'add', netns])
    cni = new Cni({ cacheDir: `${dir}/cache`, ipamDir: `${dir}/ipam`, wrap: ['ip', 'netns', 'exec', host] })
  })

  after(async () => {
    for (const netns of [host, pod]) await run('ip', ['netns', 'del', netns])
    await rm(dir, { recursive: true })
  })

  it('plug, check and unplug', async () => {
    const conflist = await cni.parse(JSON.stringify(config), 'NetworkAttachmentDefinition default/blue')
    const { ips } = await cni.add({ ...where, conflist }, signal)
    assert.equal(ips[0]?.address, '10.77.0.2/24')
    assert.match(await links(pod), /net1/)
    assert.match(await links(host), /br-blue/)
    assert.deepEqual(
      (await readdir(`${dir}/ipam/blue`)).filter((name) => name.startsWith('10.')),
      ['10.77.0.2'],
    )
    await cni.check(where, signal)
    await cni.del(where, signal)
    assert.doesNotMatch(await links(pod), /net1/)
    assert.deepEqual(
      (await readdir(`${dir}/ipam/blue`)).filter((name) => name.startsWith('10.')),
      [],
    )
  })

  it('leave nothing half plugged when the second of them fails', async () => {
    const broken = { ...config, plugins: [config.plugins[0], { type: 'tuning', sysctl: { 'net.no.such': '1' } }] }
    const conflist = await cni.parse(JSON.stringify(broken), 'NetworkAttachmentDefinition default/blue')
    await assert.rejects(cni.add({ ...where, conflist }, signal), { kind: 'Unavailable', message: /"tuning"/ })
    assert.doesNotMatch(await links(pod), /net1/)
    assert.deepEqual(
      (await readdir(`${dir}/ipam/blue`)).filter((name) => name.startsWith('10.')),
      [],
    )
  })

  it('unplug quietly what is gone already', async () => {
    const conflist = await cni.parse(JSON.stringify(config), 'NetworkAttachmentDefinition default/blue')
    await cni.add({ ...where, conflist }, signal)
    await run('ip', ['netns', 'del', pod])
    await cni.del(where, signal)
    await run('ip', ['netns', 'add', pod])
    assert.deepEqual(await readdir(`${dir}/cache`), [])
  })
})
