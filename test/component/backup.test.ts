import assert from 'node:assert/strict'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { backup, restore } from '#bin/backup.ts'
import { askServer } from '#bin/control.ts'
import { openSqliteStore } from '#machinery/store/sqlite.ts'
import type { Api } from './api.ts'
import { makeGround, startOn } from './cluster.ts'

describe('a backup', { timeout: 120_000 }, () => {
  it('made while 8 writers write has everything acknowledged before it began, 20 times over', async (t) => {
    const ground = await makeGround()
    t.after(() => ground.remove())
    const cluster = await startOn(ground, { agent: false })
    t.after(() => cluster.stop())
    const acknowledged = new Map<string, number>()
    let isOver = false
    const writers = Array.from({ length: 8 }, async (_, w) => {
      for (let n = 1; !isOver; n++) {
        await cluster.store.update(`/test/rows/${w}`, () => ({ type: 'put', value: { n } }))
        acknowledged.set(`/test/rows/${w}`, n)
      }
    })
    try {
      for (let round = 0; round < 20; round++) {
        const before = new Map(acknowledged)
        const file = join(ground.dir.root, `backup-${round}`)
        await askServer(ground.dir.control, { backup: file })
        assert.equal((await stat(file)).mode & 0o777, 0o600)
        const other = await makeGround()
        try {
          await restore({ file, dataDir: other.dir.root })
          const store = await openSqliteStore({ path: other.dir.store })
          for (const [key, n] of before) assert.ok(Number((await store.get(key))?.value.n) >= n, key)
          assert.equal((await store.diagnose()).integrity, 'ok')
          await store.close()
        } finally {
          await other.remove()
        }
      }
    } finally {
      isOver = true
      await Promise.all(writers)
    }
  })

  it('restored is what was there, keys and all, and what was there since is kept aside', async (t) => {
    const ground = await makeGround()
    t.after(() => ground.remove())
    const file = join(ground.dir.root, 'saved')
    const options = { file, dataDir: ground.dir.root }
    const first = await startOn(ground, { agent: false })
    await first.store.update('/test/rows/a', () => ({ type: 'put', value: { n: 1 } }))
    const { cluster } = first
    await first.stop()
    const key = await readFile(join(ground.dir.pki, 'tokens.key'))
    await backup(options)
    const second = await startOn(ground, { agent: false })
    await second.store.update('/test/rows/a', () => ({ type: 'put', value: { n: 2 } }))
    await second.stop()
    await writeFile(join(ground.dir.pki, 'tokens.key'), 'lost')
    const said = await restore(options)
    assert.deepEqual(await readFile(join(ground.dir.pki, 'tokens.key')), key)
    assert.equal((await stat(join(ground.dir.pki, 'tokens.key'))).mode & 0o777, 0o600)
    const aside = await openSqliteStore({ path: join(/is in (\S+)$/.exec(said)![1]!, 'store.db') })
    assert.deepEqual((await aside.get('/test/rows/a'))?.value, { n: 2 })
    await aside.close()
    const third = await startOn(ground, { agent: false })
    t.after(() => third.stop())
    assert.equal(third.cluster, cluster)
    assert.deepEqual((await third.store.get('/test/rows/a'))?.value, { n: 1 })
  })

  it('restored gives no revision twice: a watch from before is Expired, and a list is newer than any before', async (t) => {
    const ground = await makeGround()
    t.after(() => ground.remove())
    const options = { file: join(ground.dir.root, 'saved'), dataDir: ground.dir.root }
    const all = '/api/v1/namespaces/default/configmaps'
    const during = async <T>(work: (api: Api) => Promise<T>): Promise<T> => {
      const cluster = await startOn(ground, { agent: false })
      try {
        return await work(cluster.api)
      } finally {
        await cluster.stop()
      }
    }
    const listed = async (api: Api) => Number((await api.send('GET', all)).json.metadata.resourceVersion)
    const create = async (api: Api, name: string) => {
      assert.equal((await api.send('POST', all, { body: { metadata: { name } } })).code, 201)
      return listed(api)
    }
    const saved = await during((api) => create(api, 'saved'))
    await backup(options)
    // A watch of such a client would see nothing of `later` again if its revisions were given away anew.
    const seen = await during((api) => create(api, 'later'))
    for (let round = 1; round <= 2; round++) {
      await restore(options)
      await during(async (api) => {
        const now = await listed(api)
        assert.ok(now >= seen + round * 1_000_000, `${now} after ${seen}`)
        for (const from of [saved, seen, seen + 1]) {
          const watch = await api.send('GET', `${all}?watch=true&resourceVersion=${from}&timeoutSeconds=1`)
          const said = watch.code === 200 ? JSON.parse(watch.text.split('\n')[0]!).object : watch.json
          assert.deepEqual([said.code, said.reason], [410, 'Expired'], watch.text)
        }
        assert.deepEqual(
          (await api.list(all)).map(({ metadata }) => metadata.name),
          ['saved'],
        )
        assert.ok((await create(api, 'since')) > now)
      })
    }
  })

  it('that is damaged, or none, is refused and changes nothing', async (t) => {
    const ground = await makeGround()
    t.after(() => ground.remove())
    const file = join(ground.dir.root, 'saved')
    await (await startOn(ground, { agent: false })).stop()
    await backup({ file, dataDir: ground.dir.root })
    const before = await readFile(ground.dir.store)
    const whole = await readFile(file)
    for (const damaged of [whole.subarray(0, whole.length / 2), Buffer.from('no backup'), before]) {
      await writeFile(file, damaged)
      await assert.rejects(restore({ file, dataDir: ground.dir.root }), /nothing was changed/i)
      assert.deepEqual(await readFile(ground.dir.store), before)
    }
  })
})
