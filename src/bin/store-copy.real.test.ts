import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { after, before, describe, it, type TestContext } from 'node:test'
import { explain } from '#base/fault.ts'
import { silent } from '#base/log.ts'
import { eventually } from '#base/wait.ts'
import { startEtcd, type TestEtcd } from '#kit/machinery/etcd/etcd.ts'
import { fill, put, remove, vms } from '#kit/machinery/store/contract-kit.ts'
import { openEtcdStore } from '#machinery/store/etcd/etcd.ts'
import { announceServer, findServers } from '#machinery/store/etcd/presence.ts'
import { openSqliteStore } from '#machinery/store/sqlite.ts'
import { dataDirAt } from './data-dir.ts'
import { copyStore } from './store-copy.ts'

const refusalOf = (work: Promise<unknown>) => work.then(() => 'none', explain)

describe('patchbay store copy', { timeout: 120_000 }, () => {
  let etcd: TestEtcd
  before(async () => {
    etcd = await startEtcd()
  })
  after(() => etcd?.stop())

  let prefixes = 0
  const newPrefix = () => ({ etcdPrefix: `/copy-${++prefixes}` })
  function newDir(t: TestContext) {
    const folder = mkdtempSync('/tmp/pb-copy-')
    t.after(() => rmSync(folder, { recursive: true, force: true }))
    return dataDirAt(`${folder}/d`)
  }
  async function filled(t: TestContext) {
    const dir = newDir(t)
    const made = `${dir.root}/..`
    const source = dataDirAt(made)
    const store = await openSqliteStore({ path: source.store })
    await fill(store, 700)
    await store.update(`${vms}default/vm-7`, remove())
    await store.update('/core/configmaps/default/ü', put({ text: 'line\nline', deep: { list: [1, null, 'x'] } }))
    const list = await store.list('')
    await store.close()
    return { source, list }
  }
  const url = () => etcd.endpoints.join(',')
  const values = (rows: readonly Readonly<{ key: string; value: unknown }>[]) =>
    rows.map(({ key, value }) => [key, value])

  it('takes every object to etcd and back, and says how many', async (t) => {
    const { source, list } = await filled(t)
    const given = newPrefix()
    assert.match(
      await copyStore(source.root, url(), given),
      /^Copied 700 objects from the data directory .* all are the same$/,
    )
    const store = await openEtcdStore({ endpoints: etcd.endpoints, prefix: given.etcdPrefix })
    const there = await store.list('')
    await store.close()
    assert.deepEqual(values(there.rows), values(list.rows))

    const back = newDir(t)
    assert.match(await copyStore(url(), back.root, given), /^Copied 700 objects/)
    const again = await openSqliteStore({ path: back.store })
    const { rows, revision } = await again.list('')
    await again.close()
    assert.deepEqual(values(rows), values(list.rows))
    assert.ok(revision > there.revision, 'no revision is used for two objects')
  })

  it('refuses a target that is not empty, and changes nothing', async (t) => {
    const { source } = await filled(t)
    const given = newPrefix()
    const store = await openEtcdStore({ endpoints: etcd.endpoints, prefix: given.etcdPrefix })
    t.after(() => store.close())
    const own = await store.update('/a', put({ n: 1 }))
    const { revision } = store
    assert.match(
      await refusalOf(copyStore(source.root, url(), given)),
      /^There is a store already in \/copy-\d+ in etcd at .*; choose another --etcd-prefix$/,
    )
    assert.deepEqual([(await store.list('')).rows, store.revision], [[own], revision])
    assert.match(
      await refusalOf(copyStore(url(), source.root, given)),
      /^There is a store already in the data directory .*; move .*store.db away$/,
    )
  })

  it('refuses a store that is in use, by the server that uses it', async (t) => {
    const { source } = await filled(t)
    const given = newPrefix()
    const where = { endpoints: etcd.endpoints, prefix: given.etcdPrefix, log: silent }
    const quit = announceServer(where, 'host1, pid 7')
    await eventually('it is announced', async () => (await findServers(where)).length === 1)
    const inUse = /^A server runs with \/copy-\d+ in etcd at .* \(host1, pid 7\); end it first/
    assert.match(await refusalOf(copyStore(source.root, url(), given)), inUse)
    assert.match(await refusalOf(copyStore(url(), newDir(t).root, given)), inUse)
    await quit()
    assert.deepEqual(await findServers(where), [])
    const held = await openSqliteStore({ path: source.store })
    const refused = await refusalOf(copyStore(source.root, url(), given))
    await held.close()
    assert.match(refused, /in use|is open/)
    await copyStore(source.root, url(), given)
  })

  it('refuses what is no pair of the two kinds, and a directory without a store', async (t) => {
    const [one, other] = [newDir(t).root, newDir(t).root]
    assert.match(
      await refusalOf(copyStore(one, other, {})),
      /^One of .* and .* has to be a data directory, the other URLs of etcd$/,
    )
    assert.match(await refusalOf(copyStore(url(), url(), {})), /^One of/)
    assert.match(await refusalOf(copyStore(one, url(), newPrefix())), /^There is no store in the data directory/)
    assert.match(
      await refusalOf(copyStore(one, 'ftp://a:1', {})),
      /^The store ftp:\/\/a:1 is no URL of a member of etcd/,
    )
  })
})
