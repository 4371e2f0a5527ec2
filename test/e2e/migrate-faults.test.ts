import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { eventually } from '#base/wait.ts'
import { path } from '../../tools/stage/api.ts'
import { provideDemoGuest } from '../../tools/stage/image.ts'
import { nad, vm } from '../../tools/stage/manifests.ts'
import { CountingGuest, migration, migrationOver } from '../../tools/stage/migration.ts'
import { processOf } from '../../tools/stage/processes.ts'
import { must, program } from '../../tools/stage/program.ts'
import { patienceMs, Stage } from '../../tools/stage/stage.ts'

// biome-ignore lint/suspicious/noExplicitAny: objects of the API, looked into as they come
type Any = any

/** Everything that may die while a guest moves, in the two moments in which that means something different. */
describe('migrations of real guests that go wrong', () => {
  let stage: Stage
  let guest: CountingGuest
  let pods: string
  let number = 0

  before(async () => {
    stage = await Stage.open()
    pods = `${stage.dir}/pods`
    // A small file system of its own for sandboxes, so that it can be filled.
    await must('mkdir', ['-p', pods])
    await must('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', pods])
    await provideDemoGuest(stage)
    await stage.up()
    await stage.apply(nad('blue'))
    await stage.apply(vm('x', { secondary: { blue: 'down' }, graceSeconds: 0 }))
    await stage.waitFor('x', 'AgentConnected')
    await stage.configure({ configuration: { migrations: { bandwidthPerMigration: '24Mi' } } })
    guest = await CountingGuest.start(stage, 'x')
  })
  after(async () => {
    await guest?.[Symbol.asyncDispose]()
    // While its file system is there: without it nobody would know of the sandboxes that are left.
    await stage.stop()
    await stage.down()
    await program('umount', [pods])
    await stage[Symbol.asyncDispose]()
  })

  const vmi = async (): Promise<Any> => (await stage.api.call('GET', path.vmi('x'))).body
  const create = async (annotations?: Record<string, string>) => {
    const name = `m${++number}`
    await must('kubectl', ['--kubeconfig', stage.kubeconfig, 'create', '-f', '-'], {
      input: JSON.stringify(migration('x', name, annotations)),
    })
    return name
  }
  type Moving = Readonly<{ name: string; source: string; target: string }>
  /** Starts a migration and waits until its guest is being sent. */
  const sending = async (): Promise<Moving> => {
    const name = await create()
    const { migrationState: state } = await eventually(
      'the guest is on its way',
      async () => {
        const { status } = await vmi()
        return status.migrationState?.startTimestamp && !status.migrationState.completed && status
      },
      { deadlineMs: patienceMs, everyMs: 10 },
    )
    const all = await stage.pods('x')
    const uidOf = (pod: string) => all.find(({ metadata }) => metadata.name === pod).metadata.uid
    const moving = { name, source: uidOf(state.sourcePod), target: uidOf(state.targetPod) }
    await eventually(
      'the target takes it in',
      async () => (await stage.virshAt(moving.target, 'domstate', '--reason', 'default_x')).includes('migrating'),
      { deadlineMs: patienceMs, everyMs: 5 },
    )
    return moving
  }
  /** What QEMU says of the migration that a sandbox sends; `gone` when its guest has left. */
  const sendingState = (uid: string) =>
    stage.virshAt(uid, 'qemu-monitor-command', 'default_x', '{"execute":"query-migrate"}').then(
      (answer) => /"status":"([^"]+)"/.exec(answer)?.[1] ?? 'none',
      () => 'gone',
    )
  /**
   * The same, and waits until the source stands still for the last of it to be sent: libvirt writes that down, and QEMU has begun
   * to switch over. (A QEMU of version 7.2 whose migration is cancelled between these two hangs for good in `cancelling`.) That
   * lasts a moment only: when it was missed, another migration is begun.
   */
  const switching = async (): Promise<Moving> => {
    for (let tries = 0; tries < 5; tries++) {
      const moving = await sending()
      const file = `${pods}/${moving.source}/run/libvirt/qemu/default_x.xml`
      const moment = await eventually(
        'the source stands still, or has gone',
        () => {
          if (!existsSync(file)) return 'gone'
          return /<domstatus state='paused'/.test(readFileSync(file, 'utf8')) && 'still'
        },
        { deadlineMs: patienceMs, everyMs: 1 },
      )
      const state = await eventually(
        'QEMU switches over',
        async () => {
          const now = await sendingState(moving.source)
          return now !== 'active' && now
        },
        { deadlineMs: patienceMs, everyMs: 1 },
      )
      if (moment === 'still' && state !== 'gone') return moving
      await migrationOver(stage, moving.name)
      await isWell()
    }
    throw new Error('the moment in which the source stands still was missed five times')
  }
  const kill = (pid: number) => process.kill(pid, 'SIGKILL')
  const only = (uid: string, program: RegExp) => {
    const pid = processOf(`${pods}/${uid}`, program)
    assert.ok(pid, `the sandbox ${uid} has a process ${program}`)
    return pid
  }
  const libvirtd = async (uid: string) => only(uid, /^libvirtd$/m)
  const qemu = async (uid: string) => only(uid, /^qemu-system/)
  /** One sandbox, one guest that counts on, one pod; whatever became of the migration. */
  const isWell = async (): Promise<void> => {
    await eventually(
      'one sandbox is left',
      async () => {
        const all = await stage.pods('x')
        const uids = all.map(({ metadata }) => metadata.uid)
        assert.equal(uids.length, 1, JSON.stringify(all.map(({ metadata }) => metadata)))
        assert.deepEqual((await readdir(pods)).sort(), uids)
        const { status } = await vmi()
        assert.deepEqual(Object.keys(status.activePods), uids)
        return status.phase === 'Running'
      },
      { deadlineMs: patienceMs },
    )
    await guest.goesOn()
    await guest.verify()
  }

  /** Kills Patchbay now; the guest arrives all the same. */
  async function isMovedOverKill({ name, target }: Moving): Promise<void> {
    await stage.kill()
    await stage.up()
    const { status } = await migrationOver(stage, name)
    assert.equal(status.phase, 'Succeeded', JSON.stringify(status))
    await isWell()
    assert.equal((await stage.pod('x')).metadata.uid, target)
  }

  test('Patchbay is killed while a guest is sent: the guest arrives all the same', async () => {
    await isMovedOverKill(await sending())
  })

  test('Patchbay is killed while the guest stands still: it goes on where it arrived', async () => {
    const { name } = await switching()
    await stage.kill()
    await stage.up()
    await migrationOver(stage, name)
    await isWell()
  })

  test('Patchbay is killed when the guest has just been let go on: the next start writes down where it is', async () => {
    const sent = await sending()
    const isLetGo = async () => (await stage.virshAt(sent.target, 'domstate', 'default_x')) === 'running'
    await eventually('the target runs', isLetGo, { deadlineMs: patienceMs, everyMs: 1 })
    await isMovedOverKill(sent)
  })

  for (const [moment, begin] of [
    ['is sent', sending],
    ['stands still', switching],
  ] as const)
    for (const side of ['target', 'source'] as const)
      test(`libvirtd of the ${side} is killed while a guest ${moment}: one copy goes on`, async () => {
        const moving = await begin()
        kill(await libvirtd(moving[side]))
        const { status } = await migrationOver(stage, moving.name)
        if (moment === 'is sent') assert.equal(status.phase, 'Failed', JSON.stringify(status))
        await isWell()
        if (status.phase === 'Failed') assert.equal((await stage.pod('x')).metadata.uid, moving.source)
      })

  test('the guest of the target is killed while it is sent: the source goes on', async () => {
    const { name, target, source } = await sending()
    kill(await qemu(target))
    const { status } = await migrationOver(stage, name)
    assert.equal(status.phase, 'Failed')
    assert.ok(status.migrationState.failureReason)
    await isWell()
    assert.equal((await stage.pod('x')).metadata.uid, source)
  })

  test('a target that cannot be made is told, and given up when its time is over', async () => {
    await stage.k('delete', 'net-attach-def', 'blue')
    const name = await create({ 'kubevirt.io/migrationPendingPodTimeoutSeconds': '3' })
    const { status } = await migrationOver(stage, name)
    assert.equal(status.phase, 'Failed')
    assert.match(status.migrationState.failureReason, /NetworkAttachmentDefinition default\/blue, which does not exist/)
    await isWell()
    await stage.apply(nad('blue'))
  })

  test('a host whose storage is full is told; the migration goes on when there is room', async () => {
    const isTold = async () => {
      const { body } = await stage.api.call('GET', path.events)
      return body.items.some(
        (one: Any) => one.reason === 'MigrationTargetFailed' && /ENOSPC|No space left/.test(one.message),
      )
    }
    const name = await guest.unheard(async () => {
      await must('sh', ['-c', `cat /dev/zero > ${pods}/filler 2>/dev/null || true`])
      const made = await create()
      await eventually('it is told', isTold, { deadlineMs: patienceMs })
      await must('rm', [`${pods}/filler`])
      return made
    })
    const { status } = await migrationOver(stage, name)
    assert.equal(status.phase, 'Succeeded', JSON.stringify(status))
    await isWell()
  })

  test('the guest itself dies while it is sent: its run strategy starts it anew, and nothing else is left', async () => {
    const { name, source } = await sending()
    const { metadata } = await vmi()
    kill(await qemu(source))
    assert.equal((await migrationOver(stage, name)).status.phase, 'Failed')
    await eventually(
      'another instance runs',
      async () => {
        const now = await vmi()
        return now.metadata?.uid !== metadata.uid && now.status?.phase === 'Running'
      },
      { deadlineMs: patienceMs },
    )
    const uids = (await stage.pods('x')).map((pod) => pod.metadata.uid)
    assert.deepEqual(await readdir(pods), uids)
  })

  test('a VM that is stopped while it moves ends, and nothing of it is left', async () => {
    await stage.waitFor('x', 'AgentConnected')
    const { name } = await sending()
    await stage.k('patch', 'vm', 'x', '--type=merge', '-p', '{"spec":{"runStrategy":"Halted"}}')
    assert.equal((await migrationOver(stage, name)).status.phase, 'Failed')
    await eventually('no sandbox is left', async () => (await readdir(pods)).length === 0, { deadlineMs: patienceMs })
  })
})
