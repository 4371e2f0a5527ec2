import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { eventually } from '#base/wait.ts'
import { path } from '../../tools/stage/api.ts'
import { provideDemoGuest } from '../../tools/stage/image.ts'
import { vm } from '../../tools/stage/manifests.ts'
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

  test('goes on in the same QEMU when the store is restored from a backup made while it ran', async () => {
    const qemu = await stage.qemuPid('x')
    const file = `${stage.dir}/saved`
    const made = await patchbay('backup', file)
    assert.equal(made.code, 0, made.stderr)
    await stage.k('label', 'vm', 'x', 'since=backup')
    await stage.k('create', 'configmap', 'since-backup')
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
  })
})
