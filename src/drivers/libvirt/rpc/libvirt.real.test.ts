import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rename, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { silent } from '#base/log.ts'
import { eventually } from '#base/wait.ts'
import { findDaemon, socketPath, startDaemon, stopDaemon } from '../daemon/daemon.ts'
import { findProgram, listSandboxProcesses, signalProcess } from '../daemon/process.ts'
import type { LibvirtEvent } from './events.ts'
import { type Libvirt, openLibvirt } from './libvirt.ts'

const run = promisify(execFile)
const canRun = process.getuid?.() === 0 && existsSync('/usr/sbin/libvirtd') && existsSync('/usr/bin/qemu-system-x86_64')

const name = 'default_real'
const nic = (state: 'up' | 'down', index = 0) => `
  <interface type='ethernet'>
    <mac address='02:00:00:00:00:0${index + 1}'/><target dev='tap${index}' managed='no'/><model type='virtio'/>
    <link state='${state}'/><alias name='ua-${'ab'[index]}'/>
  </interface>`
const guest = `
  <domain type='qemu'><name>${name}</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
    <os><type arch='x86_64' machine='q35'>hvm</type></os>
    <devices>
      <controller type='pci' model='pcie-root'/><controller type='pci' model='pcie-root-port'/>
      <controller type='pci' model='pcie-root-port'/><controller type='usb' model='none'/><memballoon model='none'/>
      <disk type='file' device='cdrom'><target dev='sda' bus='sata'/><alias name='ua-cd'/></disk>
      ${nic('up')}
    </devices>
  </domain>`

/** A private libvirtd with two taps, in a namespace of its own; what it leaves behind is removed. */
describe('libvirt over its own protocol', {
  skip: canRun ? false : 'needs root, libvirtd and QEMU',
  timeout: 120_000,
}, () => {
  const netns = `pbh-${randomBytes(3).toString('hex')}`
  const events: LibvirtEvent[] = []
  let dir = ''
  let libvirt: Libvirt
  const start = () => startDaemon({ dir, netns: `/run/netns/${netns}`, log: silent, user: 64_055 })
  const open = () => openLibvirt({ socketPath: socketPath(dir), log: silent, callTimeoutMs: 20_000 })
  const saw = (what: string, matches: (event: LibvirtEvent) => boolean) => eventually(what, () => events.some(matches))

  before(async () => {
    dir = await mkdtemp('/tmp/pbr-')
    await run('ip', ['netns', 'add', netns])
    for (const tap of ['tap0', 'tap1']) {
      await run('ip', ['-n', netns, 'tuntap', 'add', 'dev', tap, 'mode', 'tap', 'user', '64055'])
    }
    await start()
    libvirt = await open()
    libvirt.onEvent((event) => events.push(event))
  })

  after(async () => {
    libvirt?.close()
    await stopDaemon(dir)
    for (const left of await listSandboxProcesses(dir)) await signalProcess(left, 'SIGKILL')
    await eventually('the sandbox is empty', async () => (await listSandboxProcesses(dir)).length === 0)
    await run('ip', ['netns', 'del', netns])
    await rm(dir, { recursive: true, force: true })
  })

  it('starts one daemon however often it is asked to', async () => {
    const daemon = await findDaemon(dir)
    assert.deepEqual(await start(), daemon)
    assert.match(await libvirt.libVersion(), /^\d+\.\d+\.\d+$/)
    assert.match(await libvirt.domainCapabilities({ machine: 'q35', virtType: 'qemu' }), /<domainCapabilities>/)
  })

  it('creates a guest whose QEMU has no privileges, and reports it', async () => {
    const domain = await libvirt.create(guest)
    assert.equal(domain.name, name)
    assert.deepEqual(await libvirt.getDomain(name), domain)
    assert.deepEqual(await libvirt.listDomains(), [domain])
    assert.deepEqual(await libvirt.getState(domain), { state: 'running', reason: 'booted' })
    await saw('the start', (event) => event.type === 'lifecycle' && event.event === 'started')
    const [qemu] = await findProgram(dir, (program) => program.startsWith('qemu-system'))
    const status = await readFile(`/proc/${qemu?.pid}/status`, 'utf8')
    assert.match(status, /^Uid:\t64055\t64055\t64055\t64055$/m)
    assert.match(status, /^CapEff:\t0+$/m)
  })

  it('takes a cable out and puts it back', async () => {
    const domain = await libvirt.getDomain(name)
    const link = async () => /<link state='(\w+)'\/>/.exec(await libvirt.getXml(domain))?.[1]
    assert.equal(await link(), 'up')
    await libvirt.updateDevice(domain, nic('down'))
    assert.equal(await link(), 'down')
    await libvirt.updateDevice(domain, nic('up'))
    assert.equal(await link(), 'up')
    assert.equal((await libvirt.interfaceStats(domain, 'tap0')).rxErrors, 0)
  })

  it('plugs a second card and reports it', async () => {
    const domain = await libvirt.getDomain(name)
    await libvirt.attachDevice(domain, nic('down', 1))
    await saw('the device', (event) => event.type === 'deviceAdded' && event.alias === 'ua-b')
    assert.match(await libvirt.getXml(domain), /ua-b/)
  })

  it('reports a tray that is opened', async () => {
    const domain = await libvirt.getDomain(name)
    await libvirt.monitorCommand(domain, { execute: 'blockdev-open-tray', arguments: { id: 'ua-cd' } })
    await saw('the tray', (event) => event.type === 'trayChange' && event.alias === 'ua-cd')
    assert.match(await libvirt.getXml(domain), /<target dev='sda' bus='sata' tray='open'\/>/)
  })

  it('pauses, continues, resets, and keeps notes', async () => {
    const domain = await libvirt.getDomain(name)
    await libvirt.suspend(domain)
    assert.deepEqual(await libvirt.getState(domain), { state: 'paused', reason: 'user' })
    await libvirt.resume(domain)
    await libvirt.reset(domain)
    await saw('the reset', (event) => event.type === 'reboot')
    await libvirt.setMetadata(domain, { uri: 'urn:pb', prefix: 'pb', xml: '<note a="1"/>' })
    assert.equal(await libvirt.getMetadata(domain, 'urn:pb'), '<note a="1"/>')
    await saw('the note', (event) => event.type === 'metadataChange' && event.uri === 'urn:pb')
    assert.deepEqual(await libvirt.monitorCommand(domain, { execute: 'query-status' }), {
      status: 'running',
      singlestep: false,
      running: true,
    })
    assert.equal((await libvirt.jobInfo(domain)).type, 'none')
    assert.equal((await libvirt.jobStats(domain)).type, 'none')
  })

  it('says what went wrong in our own words', async () => {
    const domain = await libvirt.getDomain(name)
    await assert.rejects(libvirt.getDomain('nobody'), { kind: 'NotFound', data: { code: 42, domain: 10 } })
    await assert.rejects(libvirt.create('<domain'), { kind: 'Invalid' })
    await assert.rejects(libvirt.create('<domain type="qemu"/>'), { kind: 'Invalid' })
    await assert.rejects(libvirt.resume(domain), { kind: 'Conflict' })
    await assert.rejects(libvirt.abortJob(domain), { kind: 'Conflict' })
    await assert.rejects(libvirt.getMetadata(domain, 'urn:other'), { kind: 'NotFound' })
    await assert.rejects(libvirt.agentCommand(domain, { execute: 'guest-ping' }), { kind: 'Unsupported' })
    await assert.rejects(libvirt.interfaceAddresses(domain), { kind: 'Unsupported' })
    await assert.rejects(libvirt.monitorCommand(domain, { execute: 'no-such' }), { kind: 'Unsupported' })
    const busy = nic('up').replaceAll('ua-a', 'ua-c').replace(':01', ':0c')
    await assert.rejects(libvirt.attachDevice(domain, busy), { kind: 'Unavailable' })
  })

  it('rejects every pending call when libvirtd is killed, and finds the guest after a restart', async () => {
    const daemon = await findDaemon(dir)
    assert.ok(daemon)
    const domain = await libvirt.getDomain(name)
    const [stuck] = await Promise.all([libvirt.closed, signalProcess(daemon, 'SIGKILL')])
    assert.equal(stuck.kind, 'Unavailable')
    await assert.rejects(libvirt.getXml(domain), { kind: 'Unavailable' })
    await eventually('it is gone', async () => (await findDaemon(dir)) === undefined)
    const second = await start()
    assert.notEqual(second.pid, daemon.pid)
    libvirt = await open()
    libvirt.onEvent((event) => events.push(event))
    assert.deepEqual(
      (await libvirt.listDomains()).map((found) => found.uuid),
      [domain.uuid],
    )
  })

  it('rejects calls in flight when libvirtd dies under them', async () => {
    const daemon = await findDaemon(dir)
    assert.ok(daemon)
    const domain = await libvirt.getDomain(name)
    // A stopped daemon answers nothing, so these calls are surely in flight when it is killed.
    await signalProcess(daemon, 'SIGSTOP')
    const reads = Array.from({ length: 8 }, () => assert.rejects(libvirt.getXml(domain), { kind: 'Unavailable' }))
    await signalProcess(daemon, 'SIGKILL')
    await Promise.all(reads)
    // Its connections are closed before it is gone, and until then it would be taken for one that runs.
    await eventually('it is gone', async () => (await findDaemon(dir)) === undefined)
    await start()
    libvirt = await open()
    libvirt.onEvent((event) => events.push(event))
  })

  it('is not taken to answer while something else still listens in its place', async () => {
    const daemon = await findDaemon(dir)
    assert.ok(daemon)
    await signalProcess(daemon, 'SIGKILL')
    await eventually('it is gone', async () => (await findDaemon(dir)) === undefined)
    // Node removes the path that it listened at when it ends: the new libvirtd's must be another.
    const path = `${socketPath(dir)}-other`
    const other = createServer().listen(path)
    await once(other, 'listening')
    await rename(path, socketPath(dir))
    try {
      await start()
      libvirt = await open()
      libvirt.onEvent((event) => events.push(event))
      assert.match(await libvirt.libVersion(), /^\d+\.\d+\.\d+$/)
    } finally {
      other.close()
    }
  })

  it('stops the guest and reports it', async () => {
    const domain = await libvirt.getDomain(name)
    // Waits until the new daemon has taken the guest over; a guest destroyed before that counts as crashed.
    await libvirt.updateDevice(domain, nic('up'))
    await libvirt.destroy(domain)
    await saw(
      'the end',
      (event) => event.type === 'lifecycle' && event.event === 'stopped' && event.detail === 'destroyed',
    )
    assert.deepEqual(await libvirt.listDomains(), [])
    const log = await readFile(`${dir}/var/log/libvirt/qemu/${name}.log`, 'utf8')
    assert.match(log, /shutting down, reason=destroyed$/m)
  })
})
