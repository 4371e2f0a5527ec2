import assert from 'node:assert/strict'
import { readFile, rm, stat } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { eventually } from '#base/wait.ts'
import { openSqliteStore } from '#machinery/store/sqlite.ts'
import { path } from '../../tools/stage/api.ts'
import { must, program } from '../../tools/stage/program.ts'
import { Stage } from '../../tools/stage/stage.ts'

const configMaps = '/api/v1/namespaces/default/configmaps'
const reserveBytes = 16 * 1024 * 1024

describe('a data directory on a small disk that others fill', () => {
  let stage: Stage
  const made = new Set<string>()

  before(async () => {
    stage = await Stage.open({ simulate: true })
    await must('mount', ['-t', 'tmpfs', '-o', 'size=80M,mode=700', 'none', stage.dir])
    await stage.up()
    for (let n = 0; n < 8; n++) assert.equal((await create(`big${n}`)).code, 201)
  })
  after(async () => {
    await stage.stop()
    await must('umount', [stage.dir])
    await stage[Symbol.asyncDispose]()
  })

  const create = async (name: string) => {
    const data = { pad: 'x'.repeat(1_000_000) }
    const answer = await stage.api.call('POST', configMaps, { metadata: { name }, data })
    if (answer.code === 201) made.add(name)
    return answer
  }
  const remove = async (name: string) => {
    const { code } = await stage.api.call('DELETE', `${configMaps}/${name}`)
    if (code === 200) made.delete(name)
    return code
  }
  const fill = () => program('sh', ['-c', `cat /dev/zero >> ${stage.dir}/filler`])
  const readyz = async () => String((await stage.api.call('GET', '/readyz')).body)
  const heal = async () => {
    await rm(`${stage.dir}/filler`, { force: true })
    await eventually('it is ready', async () => (await readyz()) === 'ok')
  }

  test('refuses what grows, says so in readyz and by an Event, and deletes by a reserve', async () => {
    await fill()
    let refused = await create('more0')
    for (let n = 1; refused.code === 201; n++) refused = await create(`more${n}`)
    assert.equal(refused.code, 503)
    assert.match(refused.body.message, /is refused\. The disk of the store \S+ is full: free some space, it goes on by/)
    assert.match(await readyz(), /^\[-\]The disk of the store \S+ is full: free some space/)
    const told = await eventually('its Event', async () => {
      const { body } = await stage.api.call('GET', path.events)
      return body.items.find((one: { reason: string }) => one.reason === 'StoreFull')
    })
    assert.deepEqual([told.type, told.involvedObject.kind, told.involvedObject.name], ['Warning', 'Node', 'node1'])
    assert.match(told.message, /The disk of the store \S+ is full/)
    for (const name of [...made].slice(2)) assert.equal(await remove(name), 200, name)
    await heal()
    assert.equal((await create('after')).code, 201)
    assert.equal((await stat(`${stage.dir}/store.db-reserve`)).size, reserveBytes)
  })

  test('when the reserve is used up as well, refuses every write and loses nothing', async () => {
    const patched = async () => {
      // Whoever fills the disk takes what of the reserve is given up, each time, and what a log of the store gives back.
      await fill()
      const data = { n: String(Math.random()) }
      return stage.api.call('PATCH', `${configMaps}/after`, { data }, 'application/merge-patch+json')
    }
    const isGone = ({ code, body }: Awaited<ReturnType<typeof patched>>) =>
      code === 503 && !body.message.includes('is refused')
    const gone = await eventually('nothing can be written', async () => {
      const answers = [await patched(), await patched(), await patched()]
      return answers.every(isGone) && answers[0]?.body
    })
    assert.match(gone.message, /failed: the disk is full; free some space, it goes on by itself then/)
    assert.equal(await remove('after'), 503)
    assert.match(await readyz(), /^\[-\].*disk.* is full/)
    assert.equal((await stage.api.call('GET', `${configMaps}/after`)).code, 200)
    await heal()
    assert.equal(await remove('after'), 200)
  })

  test('goes on with its audit log, and has every acknowledged object undamaged', async () => {
    assert.equal((await create('last')).code, 201)
    await eventually('the write is in the audit log', async () =>
      (await readFile(`${stage.dir}/audit.log`, 'utf8')).includes('"name":"last"'),
    )
    const logs = await stage.logs()
    assert.doesNotMatch(logs, /uncaught|unhandled|at .*\.[jt]s:\d+/i)
    assert.equal((await stage.api.call('GET', '/version')).code, 200)
    await stage.kill()
    const store = await openSqliteStore({ path: `${stage.dir}/store.db` })
    try {
      const { rows } = await store.list('/core/configmaps/default/big')
      const kept = [...made].filter((name) => name.startsWith('big')).sort()
      assert.deepEqual(
        rows.map(({ key }) => key.split('/').at(-1)),
        kept,
      )
      assert.equal((await store.diagnose()).integrity, 'ok')
    } finally {
      await store.close()
    }
  })
})
