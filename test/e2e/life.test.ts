import assert from 'node:assert/strict'
import { globSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { eventually } from '#base/wait.ts'
import { path } from '../../tools/stage/api.ts'
import { provideDemoGuest } from '../../tools/stage/image.ts'
import { nad, vm } from '../../tools/stage/manifests.ts'
import { must } from '../../tools/stage/program.ts'
import { patienceMs, Stage } from '../../tools/stage/stage.ts'

describe('life and death of real guests', () => {
  let stage: Stage

  before(async () => {
    stage = await Stage.open()
    await provideDemoGuest(stage)
    await stage.up()
    await stage.apply(nad('blue'))
  })
  after(() => stage[Symbol.asyncDispose]())

  const status = async (name: string) => (await stage.api.call('GET', path.vm(name))).body.status
  const uidOf = async (name: string) =>
    (await stage.api.call('GET', path.vmi(name))).body.metadata?.uid as string | undefined
  const becomes = (name: string, printable: string) =>
    eventually(
      `VM ${name} is ${printable}`,
      async () => {
        const now = (await status(name))?.printableStatus
        if (now === printable) return true
        throw new Error(`it is ${now}`)
      },
      { deadlineMs: patienceMs },
    )
  const running = async (name: string) => {
    await stage.waitFor(name, 'Ready')
    await stage.waitFor(name, 'AgentConnected')
  }

  test('a QEMU that crashes is replaced when the VM is to run always', async () => {
    await stage.apply(vm('always', { graceSeconds: 5 }))
    await running('always')
    const uid = await uidOf('always')
    process.kill(await stage.qemuPid('always'), 'SIGKILL')
    await eventually(
      'another instance runs',
      async () => {
        const now = await uidOf('always')
        return now !== undefined && now !== uid && (await status('always')).printableStatus === 'Running'
      },
      { deadlineMs: patienceMs },
    )
  })

  test('a guest that shuts itself down is started again when the VM is to run always', async () => {
    await running('always')
    const uid = await uidOf('always')
    await stage.guest('always', '(sleep 1; poweroff -f) >/dev/null 2>&1 &')
    await eventually(
      'another instance runs',
      async () => {
        const now = await uidOf('always')
        return now !== undefined && now !== uid && (await status('always')).printableStatus === 'Running'
      },
      { deadlineMs: patienceMs },
    )
    await stage.k('delete', 'vm', 'always', `--timeout=${patienceMs / 1000}s`)
  })

  test('a Manual VM runs on request, and stays stopped when its guest shuts down', async () => {
    await stage.apply(vm('manual', { runStrategy: 'Manual' }))
    await becomes('manual', 'Stopped')
    // By the API itself: kubectl knows --subresource only since 1.24.
    const request = { status: { stateChangeRequests: [{ action: 'Start' }] } }
    await stage.api.call('PATCH', `${path.vm('manual')}/status`, request, 'application/merge-patch+json')
    await running('manual')
    await stage.guest('manual', '(sleep 1; poweroff -f) >/dev/null 2>&1 &')
    await becomes('manual', 'Stopped')
    const { body } = await stage.api.call('GET', path.vmi('manual'))
    assert.equal(body.status.phase, 'Succeeded')
    await stage.k('delete', 'vm', 'manual', `--timeout=${patienceMs / 1000}s`)
  })

  test('a halted VM is shut down by its guest, not killed, and leaves nothing', async () => {
    await stage.apply(vm('graceful', { secondary: { blue: 'down' }, graceSeconds: 110 }))
    await running('graceful')
    const sandbox = await stage.sandbox('graceful')
    const uid = sandbox.split('/').at(-1)!
    const start = performance.now()
    await stage.k('patch', 'vm', 'graceful', '--type=merge', '-p', '{"spec":{"runStrategy":"Halted"}}')
    await eventually('the instance is gone', async () => (await uidOf('graceful')) === undefined, {
      deadlineMs: patienceMs,
    })
    assert.ok(performance.now() - start < 100_000, 'the guest was given its whole grace time and then killed')
    await becomes('graceful', 'Stopped')
    await nothingOf(uid)
    await stage.k('delete', 'vm', 'graceful')
  })

  test('kill -9 of Patchbay while guests start leaves each of them running exactly once', async () => {
    for (const name of ['one', 'two']) await stage.apply(vm(name, { secondary: { blue: 'down' }, memory: '96Mi' }))
    // Each moment is told by what a start leaves on disk: a sandbox is intended, its libvirtd runs, its QEMU has been started.
    for (const trace of ['sandbox.json', 'run/libvirtd.pid', 'run/libvirt/qemu/default_*.pid']) {
      const isThere = () => globSync(`${stage.dir}/pods/*/${trace}`).length > 0
      await eventually(`a start has got as far as ${trace}`, isThere, { deadlineMs: patienceMs, everyMs: 2 })
      await stage.kill()
      await stage.up()
    }
    for (const name of ['one', 'two']) {
      await running(name)
      const count = (await must('pgrep', ['-fc', `guest=default_${name},`])).trim()
      assert.equal(count, '1', `${count} QEMUs of ${name}`)
      const { body } = await stage.api.call('GET', `${path.pods}?labelSelector=vm.kubevirt.io/name%3D${name}`)
      assert.equal(body.items.length, 1)
    }
  })

  test('a VM deleted while Patchbay is down is gone from the host after it is up again', async () => {
    const uid = (await stage.sandbox('one')).split('/').at(-1)!
    const deletion = stage.kubectl(['delete', 'vm', 'one', '--wait=false'])
    assert.equal((await deletion).code, 0)
    await stage.kill()
    await stage.up()
    await eventually('the VM is gone', async () => (await stage.api.call('GET', path.vm('one'))).code === 404, {
      deadlineMs: patienceMs,
    })
    await nothingOf(uid)
  })

  test('SIGTERM stops Patchbay but not its guests', async () => {
    const pid = await stage.qemuPid('two')
    const uid = await uidOf('two')
    await stage.stop()
    process.kill(pid, 0)
    await stage.up()
    await running('two')
    assert.equal(await uidOf('two'), uid)
    assert.equal(await stage.qemuPid('two'), pid)
  })

  test('patchbay down leaves no process, namespace, link, mount, bridge or lease', async () => {
    const uid = (await stage.sandbox('two')).split('/').at(-1)!
    const { code, stderr } = await stage.down()
    assert.equal(code, 0, stderr)
    await nothingOf(uid)
    const links = JSON.parse(await must('ip', ['-j', 'link'])) as { ifname: string }[]
    assert.deepEqual(
      links.map((link) => link.ifname),
      ['lo'],
    )
    assert.equal(await must('nft', ['list', 'tables']), '')
    const again = await stage.down()
    assert.equal(again.code, 0, 'down done twice is done once')
  })

  /** Nothing on the host tells of a sandbox any more. */
  async function nothingOf(uid: string): Promise<void> {
    assert.deepEqual(
      (await readdir(`${stage.dir}/pods`).catch(() => [])).filter((name) => name === uid),
      [],
    )
    assert.ok(!(await must('ip', ['netns', 'list'])).includes(uid), 'its network namespace is left')
    assert.ok(!(await must('cat', ['/proc/mounts'])).includes(uid), 'a mount is left')
    assert.deepEqual(
      (await readdir(`${stage.dir}/cni`).catch(() => [])).filter((name) => name.startsWith(uid)),
      [],
    )
    const leases = (await readdir(`${stage.dir}/ipam/patchbay-pod`).catch(() => [])).filter((name) => /^\d/.test(name))
    for (const lease of leases)
      assert.ok(!(await must('cat', [`${stage.dir}/ipam/patchbay-pod/${lease}`])).includes(uid), 'an address is left')
    assert.deepEqual(await processesOf(uid), [])
  }

  /** Living processes whose command line or network namespace is the sandbox's. */
  async function processesOf(uid: string): Promise<string[]> {
    const lines = (await must('ps', ['-eo', 'stat=,pid=,args='])).split('\n')
    return lines.filter((line) => !line.trim().startsWith('Z') && line.includes(uid))
  }
})
