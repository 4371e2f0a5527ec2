import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { explain } from '#base/fault.ts'
import { silent } from '#base/log.ts'
import { eventually } from '#base/wait.ts'
import { type DhcpSettings, maxOptionBytes } from '#core/sandbox/dhcp.ts'
import { run } from '../host/run.ts'
import { ensureInit } from '../libvirt/daemon/daemon.ts'
import { listSandboxProcesses, signalProcess } from '../libvirt/daemon/process.ts'
import { type DhcpLease, dnsmasqPid, ensureDnsmasq, stopDnsmasq } from './dnsmasq.ts'

const hex = (text: string) => Buffer.from(text).toString('hex')
const pick = (from: Record<string, string>, keys: readonly string[]) =>
  Object.fromEntries(keys.map((key) => [key, from[key]]))

const canRun = process.getuid?.() === 0 && existsSync('/usr/sbin/dnsmasq') && existsSync('/usr/sbin/libvirtd')

describe('a DHCP server in a sandbox', { skip: canRun ? false : 'needs root, libvirtd and dnsmasq' }, () => {
  const netns = `pbd-${randomBytes(3).toString('hex')}`
  const guest = `${netns}-g`
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
    routes: [],
    foreignSubnet: false,
  })

  /** What is offered to a client that asks for some options, all of it in hexadecimal. */
  const ask = async (codes: readonly number[]): Promise<Record<string, string>> => {
    const client = fileURLToPath(import.meta.resolve('#kit/drivers/dhcp/client-kit.ts'))
    const node = [process.execPath, '--disable-warning=ExperimentalWarning', client]
    const command = ['netns', 'exec', guest, ...node, lease('br0').mac, ...codes.map(String)]
    return JSON.parse(await run('ip', command, { signal: AbortSignal.timeout(10_000) }))
  }

  before(async () => {
    dir = await mkdtemp('/tmp/pbd-')
    await run('ip', ['netns', 'add', netns])
    await run('ip', ['-n', netns, 'link', 'add', 'br0', 'type', 'bridge'])
    await run('ip', ['-n', netns, 'addr', 'add', '10.0.2.1/24', 'dev', 'br0'])
    await run('ip', ['-n', netns, 'link', 'set', 'br0', 'up'])
    await run('ip', ['netns', 'add', guest])
    await run('ip', [
      '-n',
      netns,
      'link',
      'add',
      'tap0',
      'master',
      'br0',
      'type',
      'veth',
      'peer',
      'eth0',
      'netns',
      guest,
    ])
    await run('ip', ['-n', netns, 'link', 'set', 'tap0', 'up'])
    await run('ip', ['-n', guest, 'link', 'set', 'eth0', 'up'])
    // Its address is nobody's; it is there for the kernel to have one to send from.
    await run('ip', ['-n', guest, 'addr', 'add', '10.0.2.9/24', 'dev', 'eth0'])
    await run('ip', ['-n', guest, 'route', 'add', '255.255.255.255', 'dev', 'eth0'])
    init = (await ensureInit({ dir, netns: `/run/netns/${netns}`, user: user - 1, log: silent })).pid
  })
  after(async () => {
    for (const left of await listSandboxProcesses(dir)) await signalProcess(left, 'SIGKILL')
    await eventually('the sandbox is empty', async () => (await listSandboxProcesses(dir)).length === 0)
    for (const name of [netns, guest]) await run('ip', ['netns', 'del', name])
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

  it('tells a guest what it is to be told, byte by byte, asked or not where its owner wants it', async () => {
    const settings: DhcpSettings = {
      // Where dnsmasq expects names, some would be more than that to it.
      hostname: 'ignore',
      domain: '1.2.3.4',
      searches: ['1.2.3.4', 'infinite', '7'],
      bootFileName: 'a, "b"\\ #c:d=ü',
      tftpServerName: '10',
      ntpServers: ['10.1.1.1', '10.1.1.2'],
      privateOptions: [
        { option: 224, value: '7' },
        { option: 240, value: 'port=53\n\0' },
        { option: 254, value: '10.0.0.1' },
      ],
    }
    const routes = [
      { dst: '10.99.0.0/16', gateway: '10.0.2.7' },
      { dst: '10.98.7.6/32', gateway: '0.0.0.0' },
      { dst: '0.0.0.0/0', gateway: '10.0.2.1' },
    ]
    await ensureDnsmasq({ dir, init, user }, { ...lease('br0'), dns: ['9.9.9.9', '8.8.8.8'], routes, settings }, signal)
    const ways = '100a630a000207' + '200a62070600000000' + '000a000201'
    const wanted: Record<number, string> = {
      6: '0909090908080808',
      12: hex('ignore'),
      15: hex('1.2.3.4'),
      26: '05dc',
      42: '0a0101010a010102',
      // dnsmasq ends these two with a zero, for the sake of old boot ROMs.
      66: hex('10\0'),
      67: hex('a, "b"\\ #c:d=ü\0'),
      119: `${hex('\u00011\u00012\u00013\u00014\0')}${hex('\binfinite\0')}${hex('\u00017\0')}`,
      121: ways,
      224: hex('7'),
      240: hex('port=53\n\0'),
      249: ways,
      254: hex('10.0.0.1'),
    }
    const asked = await ask([3, 6, 12, 15, 26, 119, 121, 249])
    assert.deepEqual(pick(asked, Object.keys(wanted)), wanted)
    assert.equal(asked[3], undefined, 'no router')
    const forced = [42, 66, 67, 224, 240, 254].map(String)
    assert.deepEqual(pick(await ask([1]), forced), pick(wanted, forced))
    await stopDnsmasq(dir, 'br0')
  })

  it('serves with options of any length that may be told', async () => {
    const long = 'x'.repeat(maxOptionBytes)
    const searches = Array.from({ length: 4 }, () => 'd'.repeat(61))
    const settings: DhcpSettings = {
      hostname: 'h'.repeat(63),
      searches,
      bootFileName: long,
      tftpServerName: '"'.repeat(maxOptionBytes),
      privateOptions: [{ option: 240, value: long }],
    }
    const routes = Array.from({ length: 28 }, (_, i) => ({ dst: `10.0.${i}.1/32`, gateway: '10.0.2.7' }))
    await ensureDnsmasq({ dir, init, user }, { ...lease('br0'), routes, settings }, signal)
    const got = await ask([121])
    assert.deepEqual([got[240], got[121]?.length], [hex(long), 2 * 28 * 9])
    await stopDnsmasq(dir, 'br0')
  })

  it('that cannot start says why', async () => {
    // It reads its configuration before it listens; of some other things it complains only after that.
    const wrong = { ...lease('br-none'), address: 'nowhere' }
    await assert.rejects(ensureDnsmasq({ dir, init, user }, wrong, signal), (error) => {
      assert.match(
        explain(error),
        /^dnsmasq ended with status 1 instead of serving: dnsmasq: .* at line \d+ of \/run\/dhcp/,
      )
      return true
    })
  })
})
