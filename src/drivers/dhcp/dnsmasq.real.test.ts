import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { after, before, describe, it } from 'node:test'
import { explain } from '#base/fault.ts'
import { silent } from '#base/log.ts'
import { eventually } from '#base/wait.ts'
import { run } from '../host/run.ts'
import { ensureInit } from '../libvirt/daemon/daemon.ts'
import { listSandboxProcesses, signalProcess } from '../libvirt/daemon/process.ts'
import { type DhcpLease, dnsmasqPid, ensureDnsmasq, stopDnsmasq } from './dnsmasq.ts'

const canRun = process.getuid?.() === 0 && existsSync('/usr/sbin/dnsmasq') && existsSync('/usr/sbin/libvirtd')

describe('a DHCP server in a sandbox', { skip: canRun ? false : 'needs root, libvirtd and dnsmasq' }, () => {
  const netns = `pbd-${randomBytes(3).toString('hex')}`
  const user = 1_900_000_001
  const { signal } = new AbortController()
  let dir = ''
  let init = 0
  const lease = (bridge: string): DhcpLease => ({
    bridge,
    server: '10.0.2.1',
    mac: '02:00:00:00:00:01',
    address: '10.0.2.2',
    netmask: '255.255.255.0',
    dns: [],
    mtu: 1500,
    hostname: 'x',
    foreignSubnet: false,
  })

  before(async () => {
    dir = await mkdtemp('/tmp/pbd-')
    await run('ip', ['netns', 'add', netns])
    await run('ip', ['-n', netns, 'link', 'add', 'br0', 'type', 'bridge'])
    await run('ip', ['-n', netns, 'addr', 'add', '10.0.2.1/24', 'dev', 'br0'])
    await run('ip', ['-n', netns, 'link', 'set', 'br0', 'up'])
    init = (await ensureInit({ dir, netns: `/run/netns/${netns}`, user: user - 1, log: silent })).pid
  })
  after(async () => {
    for (const left of await listSandboxProcesses(dir)) await signalProcess(left, 'SIGKILL')
    await eventually('the sandbox is empty', async () => (await listSandboxProcesses(dir)).length === 0)
    await run('ip', ['netns', 'del', netns])
    await rm(dir, { recursive: true, force: true })
  })

  it('is not root, has three capabilities at most, and sees no file of the host but programs', async () => {
    await ensureDnsmasq({ dir, init, user }, lease('br0'), signal)
    const pid = await dnsmasqPid(dir, 'br0')
    assert.ok(pid)
    const status = await readFile(`/proc/${pid}/status`, 'utf8')
    assert.match(status, new RegExp(`^Uid:\t${user}\t${user}\t${user}\t${user}$`, 'm'))
    assert.match(status, /^NoNewPrivs:\t1$/m)
    for (const set of ['CapPrm', 'CapEff', 'CapBnd'])
      assert.match(status, new RegExp(`^${set}:\t0000000000003400$`, 'm'))
    assert.ok(existsSync(`/proc/${pid}/root/usr/sbin/dnsmasq`))
    for (const path of ['etc/shadow', 'root', 'home', 'etc/hostname', 'var/lib/dpkg', 'old'])
      assert.ok(!existsSync(`/proc/${pid}/root/${path}`), path)
    await ensureDnsmasq({ dir, init, user }, lease('br0'), signal)
    assert.equal(await dnsmasqPid(dir, 'br0'), pid, 'done twice is done once')
    await stopDnsmasq(dir, 'br0')
    await eventually('it ends', () => !existsSync(`/proc/${pid}/root/run`))
    assert.equal(await dnsmasqPid(dir, 'br0'), undefined)
  })

  it('that cannot start says why', async () => {
    await assert.rejects(ensureDnsmasq({ dir, init, user }, lease('br-none'), signal), (error) => {
      assert.match(
        explain(error),
        /^dnsmasq ended with status 2 instead of serving: dnsmasq: unknown interface br-none$/,
      )
      return true
    })
  })
})
