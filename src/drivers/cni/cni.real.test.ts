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

  it('plug and unplug', async () => {
    const conflist = await cni.parse(JSON.stringify(config), 'NetworkAttachmentDefinition default/blue', signal)
    const { ips } = await cni.add({ ...where, conflist }, signal)
    assert.equal(ips[0]?.address, '10.77.0.2/24')
    assert.match(await links(pod), /net1/)
    assert.match(await links(host), /br-blue/)
    assert.deepEqual(
      (await readdir(`${dir}/ipam/blue`)).filter((name) => name.startsWith('10.')),
      ['10.77.0.2'],
    )
    await cni.del(where, signal)
    assert.doesNotMatch(await links(pod), /net1/)
    assert.deepEqual(
      (await readdir(`${dir}/ipam/blue`)).filter((name) => name.startsWith('10.')),
      [],
    )
  })

  const nat = async () => (await run('ip', ['netns', 'exec', host, 'iptables-save', '-t', 'nat'])).stdout
  const masqueraded = {
    cniVersion: '0.4.0',
    name: 'nat',
    plugins: [
      {
        type: 'bridge',
        bridge: 'br-nat',
        isGateway: true,
        ipMasq: true,
        ipam: { type: 'host-local', subnet: '10.78.0.0/24' },
      },
    ],
  }
  for (const [what, damage] of [
    ['whose addresses the guest has', ['addr', 'flush', 'dev', 'net1']],
    ['that somebody deleted', ['link', 'delete', 'net1']],
  ] as const)
    it(`leave no rules of ipMasq behind for a link ${what}`, async () => {
      const conflist = await cni.parse(JSON.stringify(masqueraded), 'NetworkAttachmentDefinition default/nat', signal)
      await cni.add({ ...where, conflist }, signal)
      assert.match(await nat(), /10\.78\.0\./)
      await run('ip', ['-n', pod, ...damage])
      await cni.del(where, signal)
      assert.doesNotMatch(await nat(), /10\.78\.0\.|pod-1/)
      assert.doesNotMatch(await links(pod), /net1/)
    })

  it('go on masquerading for one card when another of the same guest leaves the same network', async () => {
    const conflist = await cni.parse(JSON.stringify(masqueraded), 'NetworkAttachmentDefinition default/nat', signal)
    const cards = ['net1', 'net2', 'net3'].map((ifName) => ({ ...where, ifName }))
    for (const card of cards) {
      await cni.add({ ...card, conflist }, signal)
      await run('ip', ['-n', pod, 'addr', 'flush', 'dev', card.ifName])
    }
    const whole = (await nat()).split('\n').filter((line) => line.includes('-A CNI-'))
    assert.equal(whole.length, 2)
    for (const card of cards.slice(0, 2)) {
      await cni.del(card, signal)
      const now = (await nat()).split('\n')
      for (const rule of whole) assert.ok(now.includes(rule), rule)
      assert.doesNotMatch(await links(pod), new RegExp(card.ifName))
    }
    await cni.del(cards[2]!, signal)
    assert.doesNotMatch(await nat(), /10\.78\.0\.|pod-1/)
  })

  it('leave nothing half plugged when the second of them fails', async () => {
    const broken = { ...config, plugins: [config.plugins[0], { type: 'tuning', sysctl: { 'net.no.such': '1' } }] }
    const conflist = await cni.parse(JSON.stringify(broken), 'NetworkAttachmentDefinition default/blue', signal)
    await assert.rejects(cni.add({ ...where, conflist }, signal), { kind: 'Unavailable', message: /"tuning"/ })
    assert.doesNotMatch(await links(pod), /net1/)
    assert.deepEqual(
      (await readdir(`${dir}/ipam/blue`)).filter((name) => name.startsWith('10.')),
      [],
    )
  })

  it('unplug quietly what is gone already', async () => {
    const conflist = await cni.parse(JSON.stringify(config), 'NetworkAttachmentDefinition default/blue', signal)
    await cni.add({ ...where, conflist }, signal)
    await run('ip', ['netns', 'del', pod])
    await cni.del(where, signal)
    await run('ip', ['netns', 'add', pod])
    assert.deepEqual(await readdir(`${dir}/cache`), [])
  })
})
