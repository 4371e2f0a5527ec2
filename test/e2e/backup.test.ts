import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { eventually } from '#base/wait.ts'
import { path } from '../../tools/stage/api.ts'
import { provideDemoGuest } from '../../tools/stage/image.ts'
import { vm } from '../../tools/stage/manifests.ts'
import { processOf } from '../../tools/stage/processes.ts'
import { program } from '../../tools/stage/program.ts'
import { patienceMs, root, Stage } from '../../tools/stage/stage.ts'

describe('a guest and a backup', () => {
  let stage: Stage
  before(async () => {
    stage = await Stage.open()
    await provideDemoGuest(stage)
    await stage.up()
    await stage.apply(vm('x'))
    await stage.waitFor('x', 'AgentConnected')
  })
  after(() => stage?.[Symbol.asyncDispose]())

  const patchbay = (...args: readonly string[]) =>
    program(`${root}/patchbay`, [...args, '--data-dir', stage.dir], { timeoutMs: patienceMs })

  test('goes on in the same QEMU when the store is restored from a backup made while it ran; so does one made since', async () => {
    const qemu = await stage.qemuPid('x')
    const file = `${stage.dir}/saved`
    const made = await patchbay('backup', file)
    assert.equal(made.code, 0, made.stderr)
    await stage.k('label', 'vm', 'x', 'since=backup')
    await stage.k('create', 'configmap', 'since-backup')
    await stage.apply(vm('young'))
    await stage.waitFor('young', 'AgentConnected')
    const young = { uid: (await stage.pod('young')).metadata.uid, qemu: await stage.qemuPid('young') }
    const own = (await stage.pod('x')).metadata.uid
    const refused = await patchbay('restore', file)
    assert.equal(refused.code, 2, refused.stdout)
    assert.match(refused.stderr, /The server of \S+ runs \(pid \d+\); end it first: guests go on without it/)
    await stage.kill()
    const restored = await patchbay('restore', file)
    assert.equal(restored.code, 0, restored.stderr)
    await stage.up()
    await stage.waitFor('x', 'Ready')
    assert.equal((await stage.api.call('GET', path.vm('x'))).body.metadata.labels?.since, undefined)
    await eventually(
      'the VM is Running',
      async () => (await stage.api.call('GET', path.vm('x'))).body.status.printableStatus === 'Running',
      { deadlineMs: patienceMs },
    )
    assert.equal(await stage.qemuPid('x'), qemu)
    assert.equal((await stage.pod('x')).metadata.uid, own)
    // The guest that was made since is nobody's now, which its owner is told, and goes on.
    const left = await eventually('its sandbox is reported', async () => {
      const { body } = await stage.api.call('GET', path.events)
      return body.items.find(({ reason }: { reason: string }) => reason === 'SandboxLeft')
    })
    assert.match(left.message, new RegExp(`^Sandbox ${young.uid} .* has no pod, and .*: its guest goes on`))
    assert.equal((await stage.api.call('GET', path.vm('young'))).code, 404)
    // The server finds them again in the same way: nothing is started twice, nothing is ended.
    await stage.kill()
    await stage.up()
    await stage.waitFor('x', 'Ready')
    assert.deepEqual((await readdir(`${stage.dir}/pods`)).sort(), [own, young.uid].sort())
    assert.equal(await stage.virshAt(young.uid, 'domstate', 'default_young'), 'running')
    assert.equal(await stage.qemuPid('x'), qemu)
    assert.equal(processOf(`${stage.dir}/pods/${young.uid}`, /^qemu-system/), young.qemu)
  })
})
