import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { cp, link, mkdir, mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { isObject, type Json } from '#base/json.ts'
import { silent } from '#base/log.ts'
import { eventually } from '#base/wait.ts'
import {
  type MigrationSocketDir,
  migrationSocketDirs,
  migrationSocketPath,
  qemuSocketDir,
  socketPath,
  startDaemon,
  stopDaemon,
} from '../libvirt/daemon/daemon.ts'
import { listSandboxProcesses, signalProcess } from '../libvirt/daemon/process.ts'
import type { LibvirtEvent } from '../libvirt/rpc/events.ts'
import { jobStatsFlags, powerFlags } from '../libvirt/rpc/flags.ts'
import { type Libvirt, openLibvirt } from '../libvirt/rpc/libvirt.ts'
import type { Domain } from '../libvirt/rpc/procedures.ts'
import { buildDemoGuest } from './demo-guest.ts'

const run = promisify(execFile)
const tools = ['/usr/sbin/libvirtd', '/usr/bin/qemu-system-x86_64', '/usr/bin/apt-get']
const canRun = process.getuid?.() === 0 && tools.every((path) => existsSync(path))

const name = 'default_demo'
const nic = (index: number, state: 'up' | 'down' = 'up') => `
  <interface type='ethernet'>
    <mac address='02:00:00:00:00:0${index + 1}'/><target dev='tap${index}' managed='no'/><model type='virtio'/>
    <link state='${state}'/><alias name='ua-${'ab'[index]}'/>
  </interface>`
const guest = `
  <domain type='qemu'><name>${name}</name><memory unit='MiB'>128</memory><vcpu>1</vcpu>
    <os>
      <type arch='x86_64' machine='q35'>hvm</type>
      <kernel>/run/image/vmlinuz</kernel><initrd>/run/image/initrd.img</initrd><cmdline>console=ttyS0</cmdline>
    </os>
    <features><acpi/></features><cpu mode='maximum'/><on_poweroff>destroy</on_poweroff>
    <devices>
      <controller type='pci' model='pcie-root'/>
      ${"<controller type='pci' model='pcie-root-port'/>".repeat(6)}
      <controller type='usb' model='none'/><memballoon model='none'/>
      <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
      ${nic(0)}
    </devices>
  </domain>`

type Sandbox = { readonly dir: string; readonly netns: string; libvirt: Libvirt; readonly events: LibvirtEvent[] }

/** A sandbox; `incoming` is where its guest is to come from. */
async function makeSandbox(image: string, incoming?: MigrationSocketDir): Promise<Sandbox> {
  const dir = await mkdtemp('/tmp/pbr-')
  const netns = `pbh-${randomBytes(3).toString('hex')}`
  await run('ip', ['netns', 'add', netns])
  for (const tap of ['tap0', 'tap1']) {
    await run('ip', ['-n', netns, 'tuntap', 'add', 'dev', tap, 'mode', 'tap', 'user', '64055'])
    await run('ip', ['-n', netns, 'link', 'set', tap, 'up'])
  }
  await mkdir(`${dir}/run`)
  await cp(image, `${dir}/run/image`, { recursive: true })
  await startDaemon({
    ...{ dir, netns: `/run/netns/${netns}`, log: silent, user: 64_055 },
    ...(incoming && { incoming }),
  })
  const libvirt = await openLibvirt({ socketPath: socketPath(dir), log: silent, callTimeoutMs: 20_000 })
  const events: LibvirtEvent[] = []
  libvirt.onEvent((event) => events.push(event))
  return { dir, netns, libvirt, events }
}

async function removeSandbox({ dir, netns, libvirt }: Sandbox): Promise<void> {
  libvirt.close()
  await stopDaemon(dir)
  for (const left of await listSandboxProcesses(dir)) await signalProcess(left, 'SIGKILL')
  await eventually('the sandbox is empty', async () => (await listSandboxProcesses(dir)).length === 0)
  await run('ip', ['netns', 'del', netns])
  await rm(dir, { recursive: true, force: true })
}

/** What a command in the guest prints. */
async function inGuest(libvirt: Libvirt, domain: Domain, command: string): Promise<string> {
  const args = { path: '/bin/sh', arg: ['-c', command], 'capture-output': true }
  const started = await libvirt.agentCommand(domain, { execute: 'guest-exec', arguments: args })
  const pid = field(started, 'pid')
  const done = await eventually(`${command} in the guest`, async () => {
    const status = await libvirt.agentCommand(domain, { execute: 'guest-exec-status', arguments: { pid } })
    return field(status, 'exited') === true && status
  })
  return Buffer.from(String(field(done, 'out-data') ?? ''), 'base64')
    .toString()
    .trim()
}

function field(value: Json, key: string): Json | undefined {
  return isObject(value) ? value[key] : undefined
}

describe('the demo guest', { skip: canRun ? false : 'needs root, libvirtd, QEMU and apt', timeout: 300_000 }, () => {
  const meeting = 'meeting'
  let image = ''
  let here: Sandbox
  let there: Sandbox
  let domain: Domain
  const hasAgent = (sandbox: Sandbox) =>
    eventually('the agent answers', async () =>
      sandbox.libvirt.agentCommand(domain, { execute: 'guest-ping' }).then(() => true),
    )

  before(async () => {
    image = await mkdtemp('/tmp/pbi-')
    await buildDemoGuest(`${image}/demo`, silent)
    here = await makeSandbox(`${image}/demo`)
    there = await makeSandbox(`${image}/demo`, { dir: here.dir, name: meeting })
    domain = await here.libvirt.create(guest)
    await hasAgent(here)
  })

  after(async () => {
    for (const sandbox of [here, there]) if (sandbox) await removeSandbox(sandbox)
    await rm(image, { recursive: true, force: true })
  })

  it('is a small image, built once', async () => {
    const before = await stat(`${image}/demo/initrd.img`)
    assert.ok(before.size < 8 * 1024 * 1024)
    await buildDemoGuest(`${image}/demo`, silent)
    assert.equal((await stat(`${image}/demo/initrd.img`)).ino, before.ino)
  })

  it('feels its cable', async () => {
    const carrier = () => inGuest(here.libvirt, domain, 'cat /sys/class/net/eth0/carrier')
    assert.equal(await carrier(), '1')
    await here.libvirt.updateDevice(domain, nic(0, 'down'))
    await eventually('no carrier', async () => (await carrier()) === '0')
    await here.libvirt.updateDevice(domain, nic(0, 'up'))
    await eventually('a carrier', async () => (await carrier()) === '1')
    assert.ok((await here.libvirt.interfaceAddresses(domain)).some(({ mac }) => mac === '02:00:00:00:00:01'))
  })

  it('raises a card that is plugged, and lets it go', async () => {
    await here.libvirt.attachDevice(domain, nic(1))
    await eventually('eth1 is up', async () =>
      (await inGuest(here.libvirt, domain, 'ip link show eth1')).includes('LOWER_UP'),
    )
    await here.libvirt.detachAlias(domain, 'ua-b')
    await eventually('the device is gone', () =>
      here.events.some((event) => event.type === 'deviceRemoved' && event.alias === 'ua-b'),
    )
    await eventually('its client is gone', async () => (await inGuest(here.libvirt, domain, 'ls /run/nic')) === 'eth0')
  })

  it('raises a card that takes the name of one that left just before', async () => {
    const isUp = async () => (await inGuest(here.libvirt, domain, 'ip link show eth1')).includes('LOWER_UP')
    const removed = () => here.events.filter((event) => event.type === 'deviceRemoved' && event.alias === 'ua-b').length
    await here.libvirt.attachDevice(domain, nic(1))
    for (let round = 0; round < 5; round++) {
      await eventually(`eth1 is up, round ${round}`, isUp)
      const before = removed()
      await here.libvirt.detachAlias(domain, 'ua-b')
      await eventually('the device is gone', () => removed() > before)
      await here.libvirt.attachDevice(domain, nic(1))
    }
    await eventually('eth1 is up', isUp)
    await here.libvirt.detachAlias(domain, 'ua-b')
    await eventually('its client is gone', async () => (await inGuest(here.libvirt, domain, 'ls /run/nic')) === 'eth0')
  })

  it('moves to another libvirtd while it runs', async () => {
    await here.libvirt.setMaxDowntime(domain, 500)
    // A folder that both see, under one name.
    await link(socketPath(there.dir), `${migrationSocketPath({ dir: here.dir, name: meeting })}/libvirt-sock`)
    const place = `${migrationSocketDirs}/${meeting}`
    await here.libvirt.migrate(domain, {
      destination: `qemu+unix:///system?socket=${place}/libvirt-sock`,
      migrateUri: `unix://${place}/${qemuSocketDir}/socket`,
      bandwidthMiBs: 1000,
    })
    assert.deepEqual(await here.libvirt.listDomains(), [])
    domain = await there.libvirt.getDomain(name)
    assert.deepEqual(await there.libvirt.getState(domain), { state: 'running', reason: 'migrated' })
    await eventually('the job has been reported', () => here.events.some(({ type }) => type === 'jobCompleted'))
    assert.ok(here.events.some(({ type }) => type === 'migrationIteration'))
    const completed = await there.libvirt.jobStats(domain, jobStatsFlags.completed)
    assert.equal(completed.type, 'completed')
    assert.ok(Number(completed.statistics.memory_total) > 0)
    await hasAgent(there)
    assert.equal(await inGuest(there.libvirt, domain, 'cat /sys/class/net/eth0/carrier'), '1')
  })

  it('powers off when its agent is told to', async () => {
    await there.libvirt.shutdown(domain, powerFlags.agent)
    await eventually('the end', () =>
      there.events.some(
        (event) => event.type === 'lifecycle' && event.event === 'stopped' && event.detail === 'shutdown',
      ),
    )
    const log = (sandbox: Sandbox) => readFile(`${sandbox.dir}/var/log/libvirt/qemu/${name}.log`, 'utf8')
    assert.match(await log(there), /shutting down, reason=shutdown$/m)
    assert.match(await log(here), /shutting down, reason=migrated$/m)
  })
})
