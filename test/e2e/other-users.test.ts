import assert from 'node:assert/strict'
import { readdirSync, readlinkSync, statSync } from 'node:fs'
import { lstat, readdir, rm, writeFile } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { path } from '../../tools/stage/api.ts'
import { provideDemoGuest } from '../../tools/stage/image.ts'
import { nad, vm } from '../../tools/stage/manifests.ts'
import { must } from '../../tools/stage/program.ts'
import { Stage } from '../../tools/stage/stage.ts'

/** Folders in which everybody may make files. */
const shared = ['/tmp', '/var/tmp', '/dev/shm', '/run/lock']

type Entry = Readonly<{ path: string; mode: number; isLink: boolean; isFolder: boolean; uid: number }>

/** Everything below a folder, without following links or leaving its file system. */
async function below(folder: string): Promise<Entry[]> {
  const entries = await readdir(folder, { recursive: true })
  const found = await Promise.all(
    entries.map(async (name) => {
      // What a running guest has open comes and goes.
      const there = await lstat(`${folder}/${name}`).catch(() => undefined)
      return (
        there && {
          path: `${folder}/${name}`,
          mode: there.mode & 0o7777,
          isLink: there.isSymbolicLink(),
          isFolder: there.isDirectory(),
          uid: there.uid,
        }
      )
    }),
  )
  return found.filter((one) => one !== undefined)
}

const shown = (entries: readonly Entry[]) => entries.map(({ path, mode, uid }) => `${mode.toString(8)} ${uid} ${path}`)

describe('other users of the host', () => {
  let stage: Stage
  const before_ = new Map<string, readonly string[]>()
  before(async () => {
    stage = await Stage.open()
    await provideDemoGuest(stage)
    for (const folder of [...shared, '/run']) before_.set(folder, await readdir(folder).catch(() => []))
    await stage.up()
    await stage.apply(nad('blue'), vm('x', { secondary: { blue: 'up' } }), vm('y', { graceSeconds: 0 }))
    await stage.waitFor('x', 'AgentConnected')
    await stage.waitFor('y', 'AgentConnected')
    assert.equal((await stage.patchbay('backup', `${stage.dir}/saved`)).code, 0)
  })
  after(() => stage?.[Symbol.asyncDispose]())

  test('can enter nothing of a running data directory, and were it open, could write nothing and read no secret', async () => {
    assert.equal((await lstat(stage.dir)).mode & 0o7777, 0o700)
    const all = (await below(stage.dir)).filter(({ isLink }) => !isLink)
    assert.ok(all.length > 100, 'the walk has seen the sandboxes')
    // A sticky folder is a sandbox's own /tmp, which only its processes see.
    const writable = all.filter(({ mode, isFolder }) => mode & 0o002 && !(isFolder && mode & 0o1000))
    assert.deepEqual(shown(writable.filter(({ path: one }) => !/\/(dev\/[a-z/-]+)$/.test(one))), [])
    const secret =
      /\/(pki\/.*|kubeconfig|store\.db[^/]*|audit\.log[^/]*|control\.sock|saved|identity\.json|host\.json|libvirt-(admin-)?sock[^/]*|sandbox\.json|[^/]*\.key)$/
    const secrets = all.filter(({ path: one }) => secret.test(one))
    for (const name of ['kubeconfig', 'control.sock', 'store.db', 'audit.log', 'saved', 'tokens.key', 'libvirt-sock'])
      assert.ok(
        secrets.some(({ path: one }) => one.endsWith(`/${name}`)),
        name,
      )
    assert.deepEqual(shown(secrets.filter(({ mode }) => mode & 0o077)), [])
  })

  test('find nothing of it elsewhere: what it made in /run is root’s, and in /tmp there is nothing', async () => {
    for (const folder of shared) {
      const made = (await readdir(folder).catch(() => [])).filter((name) => !before_.get(folder)?.includes(name))
      // Those of tests that run beside this one are theirs.
      assert.deepEqual(
        made.filter((name) => /qemu|libvirt|patchbay|dnsmasq|cni/i.test(name)),
        [],
        folder,
      )
    }
    const names = (await readdir('/run')).filter((name) => !before_.get('/run')?.includes(name))
    assert.deepEqual(
      names.filter((name) => !['netns', 'cni', 'xtables.lock'].includes(name)),
      [],
    )
    for (const folder of ['/run/netns', '/run/cni'])
      for (const { mode, uid, path: one } of await below(folder).catch(() => []))
        assert.deepEqual([mode & 0o002, uid], [0, 0], one)
  })

  test('have no file of theirs opened by it: no process of it has one of a shared folder', async () => {
    const pids = [stage.pid]
    for (const name of ['x', 'y']) pids.push(await stage.qemuPid(name), await stage.libvirtdPid(name))
    for (const pid of pids) {
      const files = readdirSync(`/proc/${pid}/fd`).map((fd) => {
        try {
          return readlinkSync(`/proc/${pid}/fd/${fd}`)
        } catch {
          return '' // closed meanwhile
        }
      })
      const foreign = files.filter((file) => shared.some((folder) => file.startsWith(`${folder}/`)))
      assert.deepEqual(
        foreign.filter((file) => !file.startsWith(stage.dir)),
        [],
        `process ${pid}`,
      )
    }
    for (const name of ['x', 'y']) {
      const pid = await stage.qemuPid(name)
      for (const folder of shared) {
        const [inside, outside] = [`/proc/${pid}/root${folder}`, folder].map((one) =>
          statSync(one, { throwIfNoEntry: false }),
        )
        if (inside && outside) assert.notDeepEqual([inside.dev, inside.ino], [outside.dev, outside.ino], folder)
      }
    }
  })

  test('cannot lead it into another network namespace: one under the name of a sandbox’s loses that name', async () => {
    const { uid } = (await stage.pod('x')).metadata
    const name = `/run/netns/pb-${uid}`
    const qemu = await stage.qemuPid('x')
    const own = statSync(`/proc/${qemu}/ns/net`).ino
    await stage.kill()
    await must('ip', ['netns', 'delete', `pb-${uid}`])
    await writeFile(name, '')
    await must('mount', ['--bind', '/proc/self/ns/net', name])
    const links = await must('ip', ['-br', 'link'])
    try {
      await stage.up()
      await stage.waitFor('x', 'Ready')
      assert.equal(statSync(name).ino, own)
      assert.equal(await stage.qemuPid('x'), qemu)
      assert.match(await stage.guest('x', 'ping -c 1 -W 5 10.0.2.1 > /dev/null && echo reached'), /reached/)
      const { status } = (await stage.api.call('GET', path.vmi('x'))).body
      assert.equal(status.phase, 'Running')
      assert.equal(await must('ip', ['-br', 'link']), links)
    } finally {
      if (statSync(name, { throwIfNoEntry: false })?.ino === statSync('/proc/self/ns/net').ino) {
        await must('umount', [name])
        await rm(name)
      }
    }
  })
})
