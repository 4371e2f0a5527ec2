import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { chmod, copyFile, cp, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { exists } from '#base/file.ts'
import { eventually } from '#base/wait.ts'
import { path } from '../../tools/stage/api.ts'
import { provideDemoGuest } from '../../tools/stage/image.ts'
import { nad, vm } from '../../tools/stage/manifests.ts'
import { type Outcome, program } from '../../tools/stage/program.ts'
import { patienceMs, root, Stage } from '../../tools/stage/stage.ts'

/** What a server that refuses to start may take to say so, on a busy machine. */
const refuseMs = 30_000

describe('guests whose store may be elsewhere', () => {
  let stage: Stage
  let plugins: string
  const guests = new Map<string, { uid: string; qemu: number }>()

  before(async () => {
    stage = await Stage.open()
    plugins = `${stage.dir}/plugins`
    await mkdir(plugins)
    await provideDemoGuest(stage)
    await bringPlugin()
    await up()
    await stage.apply(nad('red', { cniVersion: '0.4.0', name: 'red', type: 'leaving', bridge: 'br-red' }))
    await stage.apply(
      vm('x'),
      vm('red', { secondary: { red: 'up' }, graceSeconds: 120 }),
      vm('forced', { graceSeconds: 0 }),
    )
    for (const name of ['x', 'red', 'forced']) {
      await stage.waitFor(name, 'AgentConnected')
      guests.set(name, { uid: (await stage.pod(name)).metadata.uid, qemu: await stage.qemuPid(name) })
    }
  })
  after(async () => {
    // Without it `patchbay down` could not give the network back.
    await bringPlugin()
    // That such a plugin makes a bridge nobody else can know.
    await program('ip', ['link', 'delete', 'br-red'])
    await stage[Symbol.asyncDispose]()
  })

  const up = () => stage.up(['--cni-bin-dir', `/usr/lib/cni,${plugins}`, '--cni-timeout', '5'])
  const bringPlugin = async () => {
    await copyFile('/usr/lib/cni/bridge', `${plugins}/leaving`)
    await chmod(`${plugins}/leaving`, 0o755)
  }
  const sandboxOf = (uid: string) => `${stage.dir}/pods/${uid}`
  const runs = async (pid: number) => (await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')).startsWith('qemu')
  /** The guests have the processes they had, and libvirt says that they run. */
  async function goOn(...names: readonly string[]): Promise<void> {
    for (const name of names) {
      const { uid, qemu } = guests.get(name)!
      assert.ok(await runs(qemu), `the guest of ${name} is gone`)
      assert.equal(await stage.virshAt(uid, 'domstate', `default_${name}`), 'running')
    }
  }
  /** A start that is refused: what it said, without anything of the guests changed. */
  async function refused(...more: readonly string[]): Promise<Outcome> {
    const args = ['up', '--data-dir', stage.dir, '--listen', '127.0.0.1:7443', ...more]
    const outcome = await program(`${root}/patchbay`, args, { timeoutMs: refuseMs })
    assert.equal(outcome.code, 2, outcome.stdout + outcome.stderr)
    assert.equal(outcome.stderr.trim().split('\n').length, 1, outcome.stderr)
    await goOn('x', 'red', 'forced')
    return outcome
  }
  /** Puts the store aside while something is tried. */
  async function without(store: () => Promise<void>): Promise<void> {
    const files = (await readdir(stage.dir)).filter((name) => name.startsWith('store.db'))
    await mkdir(`${stage.dir}/aside`)
    for (const name of files) await rename(`${stage.dir}/${name}`, `${stage.dir}/aside/${name}`)
    try {
      await store()
    } finally {
      for (const name of (await readdir(stage.dir)).filter((one) => one.startsWith('store.db')))
        await rm(`${stage.dir}/${name}`)
      for (const name of files) await rename(`${stage.dir}/aside/${name}`, `${stage.dir}/${name}`)
      await rm(`${stage.dir}/aside`, { recursive: true })
    }
  }
  const remedy = /Put the store of these guests back .*, or stop them with: patchbay down --data-dir /

  test('go on when their host is started under another node name, which is refused', async () => {
    await stage.kill()
    const { stderr } = await refused('--node', 'node2')
    assert.match(stderr, /is the one of node "node1", not of "node2"; start it with --node node1 or without --node/)
  })

  test('go on when the store is missing, empty, or of another cluster, which is refused', async () => {
    await without(async () => {
      const { stderr } = await refused()
      assert.match(
        stderr,
        /has 3 sandboxes with guests that may run, and its store \S+ is missing; nothing was changed/,
      )
      assert.match(stderr, remedy)
      assert.equal(await exists(`${stage.dir}/store.db`), false)
      await writeFile(`${stage.dir}/store.db`, '')
      assert.match((await refused()).stderr, /its store \S+ is empty; nothing was changed/)
    })
    await without(async () => {
      await using other = await Stage.open({ simulate: true })
      await other.up()
      await other.stop()
      await cp(`${other.dir}/store.db`, `${stage.dir}/store.db`)
      assert.match((await refused()).stderr, /its store \S+ is of another cluster \([0-9a-f-]+, not [0-9a-f-]+\)/)
    })
  })

  test('go on beside folders that are no sandboxes, a sandbox of another cluster and one whose CNI plugin is gone', async () => {
    const foreign = randomUUID()
    await mkdir(`${stage.dir}/pods/lost+found`)
    await writeFile(`${stage.dir}/pods/notes`, '')
    await mkdir(sandboxOf(foreign))
    await writeFile(
      `${sandboxOf(foreign)}/sandbox.json`,
      JSON.stringify({
        uid: foreign,
        namespace: 'default',
        name: 'foreign',
        attachments: [],
        owner: { node: 'node1', cluster: randomUUID() },
      }),
    )
    await rm(`${plugins}/leaving`)
    await up()
    await stage.waitFor('x', 'Ready')
    const event = await eventually(
      'the sandbox of another cluster is reported',
      async () => {
        const { body } = await stage.api.call('GET', path.events)
        return body.items.find((event: { reason: string }) => event.reason === 'SandboxLeft')
      },
      { deadlineMs: patienceMs },
    )
    assert.match(event.message, new RegExp(`${foreign}.*was made for another cluster.*its guest goes on`))
    await goOn('x', 'red', 'forced')
    for (const name of ['lost+found', 'notes', foreign]) assert.ok(await exists(`${stage.dir}/pods/${name}`), name)
    const lines = (await stage.logs())
      .split('\n')
      .filter((line) => line.includes('Keeping an entry that is no sandbox'))
    assert.equal(lines.length, 2, lines.join('\n'))
    await rm(sandboxOf(foreign), { recursive: true })
  })

  test('are asked to go though their CNI plugin is gone, and leave nothing once it is back', async () => {
    const { uid, qemu } = guests.get('red')!
    // One that stands still cannot go before the next server, which knows nothing of it yet, has asked it.
    await stage.virshAt(uid, 'suspend', 'default_red')
    await stage.k('delete', 'vm', 'red', '--wait=false')
    await eventually(
      'its instance is to go',
      async () => (await stage.api.call('GET', path.vmi('red'))).body.metadata.deletionTimestamp !== undefined,
      { deadlineMs: patienceMs },
    )
    await stage.kill()
    await up()
    await stage.virshAt(uid, 'resume', 'default_red')
    await eventually('its guest has ended', async () => !(await runs(qemu)), { deadlineMs: patienceMs })
    await eventually(
      'it is reported that its network cannot be given back',
      async () => {
        const { body } = await stage.api.call('GET', path.events)
        return body.items.some(
          ({ reason, message }: { reason: string; message: string }) =>
            reason === 'FailedKillPod' && /CNI plugin "leaving" is not in/.test(message),
        )
      },
      { deadlineMs: patienceMs },
    )
    // It went by itself: a guest that was killed is logged as destroyed.
    assert.match(await stage.logs(), /"domain":"default_red","ended":"shutdown"/)
    await bringPlugin()
    await stage.k('wait', '--for=delete', 'vm/red', `--timeout=${patienceMs / 1000}s`)
    assert.equal(await exists(sandboxOf(uid)), false)
    await goOn('x', 'forced')
  })

  test('are ended when their pod is proven gone', async () => {
    const { uid, qemu } = guests.get('forced')!
    const pod = (await stage.pod('forced')).metadata.name
    await stage.k('patch', 'vm', 'forced', '--type=merge', '-p', '{"spec":{"runStrategy":"Manual"}}')
    await stage.k('patch', 'pod', pod, '--type=merge', '-p', '{"metadata":{"finalizers":null}}')
    await stage.k('delete', 'pod', pod, '--wait=false')
    await eventually('its sandbox is gone', async () => !(await exists(sandboxOf(uid))), { deadlineMs: patienceMs })
    await eventually('its guest has ended', async () => !(await runs(qemu)), { deadlineMs: patienceMs })
    await goOn('x')
  })

  test('are not ended by patchbay down of another data directory, whatever a stale pid file says', async () => {
    const other = await mkdtemp('/tmp/pb-')
    try {
      await writeFile(`${other}/patchbay.pid`, `${stage.pid}\n`)
      const { code, stdout } = await stage.patchbayAt(other, 'down')
      assert.equal(code, 0)
      assert.match(stdout, new RegExp(`^No server of ${other} was running$`, 'm'))
      assert.equal((await stage.api.call('GET', path.vm('x'))).code, 200)
      await goOn('x')
    } finally {
      await rm(other, { recursive: true })
    }
  })

  test('are ended by patchbay down, which finds its server without a pid file', async () => {
    await rm(`${stage.dir}/patchbay.pid`)
    const { code, stdout, stderr } = await stage.patchbay('down', '--timeout', '20')
    assert.equal(code, 0, stderr)
    assert.match(stdout, /^Stopped the server$/m)
    await eventually('its guest has ended', async () => !(await runs(guests.get('x')!.qemu)), {
      deadlineMs: patienceMs,
    })
    assert.match((await stage.patchbay('down')).stdout, /^No server of \S+ was running$/m)
  })
})

describe('a data directory that cannot be used', () => {
  test('on a full disk, or a read-only one, ends the start with one sentence', async () => {
    const dir = await mkdtemp('/tmp/pb-')
    const start = (options: string, first: string) =>
      // The mount is seen by this shell and what it starts only, and goes with them.
      program('unshare', [
        '--mount',
        'sh',
        '-c',
        `mount -t tmpfs -o ${options} none ${dir} && ${first} exec ${root}/patchbay up --simulate --data-dir ${dir} --listen 127.0.0.1:7445`,
      ])
    try {
      const full = await start('size=64k,mode=700', `head -c 1M /dev/zero > ${dir}/filler 2>/dev/null;`)
      const readOnly = await start('ro,mode=700', '')
      for (const [{ code, stderr, stdout }, text] of [
        [full, /the disk is full; free some space and start again/],
        [readOnly, /its file system is read-only; mount it for writing/],
      ] as const) {
        assert.equal(code, 3, stdout + stderr)
        assert.match(stderr, text)
        assert.equal(stderr.trim().split('\n').length, 1, stderr)
      }
    } finally {
      await rm(dir, { recursive: true })
    }
  })

  test('because others may enter it is closed to them', async () => {
    const dir = await mkdtemp('/tmp/pb-')
    try {
      await chmod(dir, 0o755)
      const { stderr } = await program(`${root}/patchbay`, ['user', 'create', 'jane', '--data-dir', dir])
      assert.match(stderr, /The data directory was open to other users; only root may enter now/)
      assert.equal((await stat(dir)).mode & 0o777, 0o700)
    } finally {
      await rm(dir, { recursive: true })
    }
  })
})
