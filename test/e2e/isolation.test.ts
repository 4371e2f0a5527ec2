import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { hostname } from 'node:os'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { eventually } from '../../src/base/wait.ts'
import { provideDemoGuest } from '../../tools/stage/image.ts'
import { nad, vm } from '../../tools/stage/manifests.ts'
import { migration, migrationOver } from '../../tools/stage/migration.ts'
import { patienceMs, Stage } from '../../tools/stage/stage.ts'

const run = promisify(execFile)
const secretFile = `/tmp/pb-secret-${process.pid}`

/** What broke out of a guest is a process with the user, the namespaces and the (missing) capabilities of its QEMU. */
describe('a QEMU that was taken over', () => {
  let stage: Stage
  let own = 0
  let other = 0
  before(async () => {
    writeFileSync(secretFile, 'a file of the host that everybody may read\n', { mode: 0o644 })
    stage = await Stage.open()
    await provideDemoGuest(stage)
    await stage.up()
    await stage.apply(nad('blue'), vm('x', { secondary: { blue: 'up' } }), vm('y', { graceSeconds: 0 }))
    await stage.waitFor('x', 'AgentConnected')
    await stage.waitFor('y', 'AgentConnected')
    own = await stage.qemuPid('x')
    other = await stage.qemuPid('y')
  })
  after(async () => {
    await rm(secretFile, { force: true })
    await stage?.[Symbol.asyncDispose]()
  })

  const userOf = (pid: number) => Number(/^Uid:\t(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])

  /** Runs a shell line as that process would; resolves to what it wrote, complaints included. */
  async function brokenOut(line: string): Promise<string> {
    const user = String(userOf(own))
    const without = ['--clear-groups', '--inh-caps=-all', '--bounding-set=-all', '--no-new-privs']
    const enter = [
      '-t',
      String(own),
      '-m',
      '-n',
      '-p',
      '-r',
      '-w',
      'setpriv',
      '--reuid',
      user,
      '--regid',
      user,
      ...without,
    ]
    const { stdout } = await run('nsenter', [...enter, 'sh', '-c', `exec 2>&1; ${line}; true`])
    return stdout
  }

  test('has a user and a PID namespace that no other guest has', () => {
    assert.notEqual(userOf(own), userOf(other))
    const namespace = (pid: number | string) => readlinkSync(`/proc/${pid}/ns/pid`)
    assert.equal(new Set([namespace(own), namespace(other), namespace('self')]).size, 3)
    assert.match(readFileSync(`/proc/${own}/status`, 'utf8'), /^CapEff:\t0+$/m)
  })

  test('sees no process but those of its sandbox, and can neither read nor stop another guest', async () => {
    const seen = (await brokenOut('cat /proc/[0-9]*/comm')).split('\n').filter(Boolean)
    assert.ok(
      seen.every((name) => /^(sh|sleep|libvirtd|head|qemu-system-.*|setpriv|cat)$/.test(name)),
      seen.join(),
    )
    assert.equal(seen.filter((name) => name.startsWith('qemu-system')).length, 1)
    assert.match(await brokenOut(`cat /proc/${other}/maps`), /No such file/)
    // Its own number, in case the other's pid happens to be one in here.
    await brokenOut(`kill -STOP ${other}`)
    assert.doesNotMatch(readFileSync(`/proc/${other}/status`, 'utf8'), /^State:\tT/m)
    // From the host's own PID namespace, too: the user is another one.
    const host = ['setpriv', '--reuid', String(userOf(own)), '--regid', String(userOf(own)), '--clear-groups']
    await assert.rejects(run(host[0]!, [...host.slice(1), 'kill', '-STOP', String(other)]), /not permitted/)
    await assert.rejects(run(host[0]!, [...host.slice(1), 'cat', `/proc/${other}/mem`]), /Permission denied/)
  })

  test('sees no file of the host but its programs', async () => {
    for (const path of [
      secretFile,
      '/etc/shadow',
      '/etc/hostname',
      '/root',
      '/home',
      '/var/lib/dpkg',
      '/run/netns',
      stage.dir,
    ])
      assert.match(await brokenOut(`ls -d ${path}`), /No such file|cannot access/, path)
    assert.match(await brokenOut('touch /usr/x'), /Read-only file system|Permission denied/)
    assert.match(
      await brokenOut('cat /run/libvirt/libvirt-sock /etc/libvirt/libvirtd.conf > /dev/null; id -u'),
      /denied|No such device/,
    )
    assert.match(await brokenOut('cat /run/console.log'), /Permission denied/)
  })

  test('asks no name server, which its sandbox would wait for', async () => {
    assert.match(await brokenOut(`getent hosts ${hostname()}`), /^127\.0\.1\.1\s/)
    assert.match(await brokenOut('cat /etc/nsswitch.conf'), /^hosts: files$/m)
    const log = readFileSync(`${await stage.sandbox('x')}/var/log/libvirt/libvirtd.log`, 'utf8')
    assert.doesNotMatch(log, /getaddrinfo failed/)
  })

  test('keeps its user while its guest moves, and so may read what it owns there', async () => {
    const user = userOf(own)
    const moving = migration('x', 'away')
    await stage.apply(moving)
    const { status } = await migrationOver(stage, 'away')
    assert.equal(status.phase, 'Succeeded')
    assert.equal(userOf(await stage.qemuPid('x')), user)
  })

  test('a guest that floods its console takes a MiB of the disk, and goes on', async () => {
    const flooding = stage.guest('y', 'timeout 15 yes > /dev/ttyS0; echo done')
    const folder = `${await stage.sandbox('y')}/run`
    const bytes = () => ['', '.1'].reduce((sum, suffix) => sum + sizeOf(`${folder}/console.log${suffix}`), 0)
    let most = 0
    await eventually(
      'both files were full',
      () => {
        most = Math.max(most, bytes())
        return existsSync(`${folder}/console.log.1`)
      },
      { deadlineMs: patienceMs, everyMs: 50 },
    )
    assert.ok(most <= 1024 * 1024, `${most} bytes`)
    assert.equal(await flooding, 'done')
  })
})

function sizeOf(path: string): number {
  return existsSync(path) ? statSync(path).size : 0
}
