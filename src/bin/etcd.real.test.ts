import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { eventually } from '#base/wait.ts'
import { startEtcd, type TestEtcd } from '#kit/machinery/etcd/etcd.ts'
import { path } from '../../tools/stage/api.ts'
import { vm } from '../../tools/stage/manifests.ts'
import { program } from '../../tools/stage/program.ts'
import { root, Stage } from '../../tools/stage/stage.ts'

describe('patchbay up --etcd', { timeout: 240_000 }, () => {
  let etcd: TestEtcd
  before(async () => {
    etcd = await startEtcd({ isDurable: true })
  })
  after(() => etcd?.stop())

  const start = (stage: Stage, prefix: string) =>
    stage.up([
      ...['--listen', '127.0.0.1:0', '--ovirt-listen', 'off'],
      ...['--etcd', etcd.endpoints.join(','), '--etcd-prefix', prefix],
    ])

  it('finds everything again after kill -9, and watches go on from where they were', async () => {
    await using stage = await Stage.open({ simulate: true })
    await start(stage, '/killed')
    const made = await stage.api.call('POST', path.vm(), vm('a', { runStrategy: 'Halted', secondary: { blue: 'up' } }))
    assert.equal(made.code, 201, JSON.stringify(made.body))
    const { resourceVersion, uid } = made.body.metadata
    const patch = { metadata: { labels: { seen: 'yes' } } }
    const patched = await stage.api.call('PATCH', path.vm('a'), patch, 'application/merge-patch+json')
    assert.equal(patched.code, 200)
    await stage.kill()
    await start(stage, '/killed')
    const found = await stage.api.call('GET', path.vm('a'))
    assert.deepEqual([found.body.metadata.uid, found.body.metadata.labels.seen], [uid, 'yes'])
    const query = `watch=1&timeoutSeconds=1&resourceVersion=${resourceVersion}`
    const lines = (await stage.k('get', '--raw', `${path.vm()}?${query}`)).trim().split('\n')
    const events = lines.map((line) => JSON.parse(line))
    assert.ok(
      events.some(
        ({ type, object }) =>
          type === 'MODIFIED' && object.metadata.resourceVersion === patched.body.metadata.resourceVersion,
      ),
      lines.join('\n'),
    )
  })

  it('says in /readyz that etcd does not answer, refuses writes meanwhile, and goes on when it does', async () => {
    await using stage = await Stage.open({ simulate: true })
    await start(stage, '/silent')
    const [member] = etcd.members
    const ready = () => stage.api.call('GET', '/readyz')
    assert.equal((await ready()).code, 200)
    member?.kill('SIGSTOP')
    try {
      const { body } = await eventually('it is not ready', async () => {
        const answer = await ready()
        return answer.code === 503 && answer
      })
      assert.match(body, /^\[-\]The store in etcd at http:.* does not answer: look at its members/)
      assert.equal((await stage.api.call('GET', '/livez')).code, 200)
      const refused = await stage.api.call('POST', path.vm(), vm('a', { runStrategy: 'Halted' }))
      assert.deepEqual([refused.code, refused.body.reason], [503, 'ServiceUnavailable'])
    } finally {
      member?.kill('SIGCONT')
    }
    await eventually('it is ready', async () => (await ready()).code === 200)
    const made = await stage.api.call('POST', path.vm(), vm('b', { runStrategy: 'Halted' }))
    assert.equal(made.code, 201, JSON.stringify(made.body))
  })

  it('keeps a second server out of its data directory, and refuses a backup by saying where the store is', async () => {
    await using stage = await Stage.open({ simulate: true })
    await start(stage, '/locked')
    const patchbay = (...args: string[]) => program(`${root}/patchbay`, [...args, '--data-dir', stage.dir])
    const second = await patchbay('up', '--simulate', '--etcd', etcd.endpoints.join(','), '--listen', '127.0.0.1:0')
    assert.match(second.stderr, /^patchbay: The data directory .* is in use by another server/)
    const backup = await patchbay('backup', `${stage.dir}/backup`)
    assert.match(backup.stderr, /: The store is \/locked in etcd at http.*: back it up with etcdctl snapshot save/)
  })
})
