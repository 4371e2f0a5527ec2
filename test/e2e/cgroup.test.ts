import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { eventually } from '../../src/base/wait.ts'
import { provideDemoGuest } from '../../tools/stage/image.ts'
import { vm } from '../../tools/stage/manifests.ts'
import { Stage } from '../../tools/stage/stage.ts'

const run = promisify(execFile)
const root = '/sys/fs/cgroup'
const second = existsSync(`${root}/cgroup.controllers`)
const memory = second
  ? { folder: root, file: 'memory.max' }
  : { folder: `${root}/memory`, file: 'memory.limit_in_bytes' }
const pids = second ? root : `${root}/pids`

/** Why nothing can be limited here; false when it can. */
async function lacks(): Promise<string | false> {
  const probe = `${memory.folder}/patchbay-probe-${process.pid}`
  try {
    await run('mkdir', [probe])
    const isThere = existsSync(`${probe}/${memory.file}`)
    await run('rmdir', [probe])
    return isThere ? false : 'the memory controller is not enabled at the top of the cgroups'
  } catch {
    return 'cgroups cannot be written here'
  }
}

describe('the processes of a sandbox', { skip: await lacks() }, () => {
  let stage: Stage
  let uid = ''
  before(async () => {
    stage = await Stage.open()
    await provideDemoGuest(stage)
    await stage.up()
    await stage.apply(vm('a', { graceSeconds: 0 }))
    await stage.waitFor('a', 'AgentConnected')
    uid = (await stage.pod('a')).metadata.uid
  })
  after(() => stage?.[Symbol.asyncDispose]())

  const groupOf = (folder: string) => `${folder}/patchbay-${uid}`
  const membersOf = (folder: string) =>
    readFileSync(`${groupOf(folder)}/cgroup.procs`, 'utf8')
      .split('\n')
      .filter(Boolean)
      .map(Number)

  test('are all in cgroups of its own, which hold them to the memory of their pod and something more', async () => {
    const expected = [await stage.qemuPid('a'), await stage.libvirtdPid('a')]
    for (const folder of [memory.folder, pids]) {
      const members = membersOf(folder)
      for (const pid of expected) assert.ok(members.includes(pid), `${pid} is one of ${members} in ${folder}`)
    }
    const { limits } = (await stage.pod('a')).spec.containers[0].resources
    const bytes = Number(/^(\d+)Ki$/.exec(limits.memory)![1]) * 1024
    const page = 4096
    const max = Number(readFileSync(`${groupOf(memory.folder)}/${memory.file}`, 'utf8'))
    assert.ok(Math.abs(max - (bytes * 1.25 + 256 * 2 ** 20)) <= page, String(max))
    assert.equal(readFileSync(`${groupOf(pids)}/pids.max`, 'utf8').trim(), '4096')
  })

  test('that take too much memory are killed, and neither their guest nor the host notices', async () => {
    const qemu = await stage.qemuPid('a')
    const join = `echo 0 > ${groupOf(memory.folder)}/cgroup.procs; echo 1000 > /proc/self/oom_score_adj`
    // `tail` keeps all of a line that never ends: of this one, more than there may be.
    const eat = `${join}; exec nsenter -t ${qemu} -m -r -w sh -c 'head -c 3G /dev/zero | tail -n 1 | wc -c'`
    const { stdout } = await run('sh', ['-c', eat])
    assert.ok(Number(stdout) < 2 ** 30, `it got through with ${stdout} bytes`)
    assert.equal(await stage.qemuPid('a'), qemu)
    assert.match(await stage.guest('a', 'echo alive'), /alive/)
  })

  test('leave no cgroup behind, whether Patchbay lives to see them end or not', async () => {
    await stage.kill()
    await stage.up()
    await stage.k('delete', 'vm', 'a')
    const isGone = () => ![memory.folder, pids].some((folder) => existsSync(groupOf(folder)))
    await eventually('its cgroups are gone', async () => isGone())
    await stage.apply(vm('b', { graceSeconds: 0 }))
    await stage.waitFor('b', 'AgentConnected')
    uid = (await stage.pod('b')).metadata.uid
    assert.ok(!isGone())
    await stage.kill()
    await stage.down()
    assert.ok(isGone())
  })
})
