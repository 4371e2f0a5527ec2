import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { must, program } from '../../tools/stage/program.ts'
import { type Any, nadsPath, vmisPath, vmsPath } from '../component/api.ts'
import { type Cluster, startCluster } from '../component/cluster.ts'
import { linkStates } from '../component/manifests.ts'
import { firstMs } from './install/cache.ts'
import { provideLayer } from './install/layer.ts'

const chart = fileURLToPath(new URL('chart', import.meta.url))
const namespace = 'default'

describe('helm 4', () => {
  let file: string
  let cluster: Cluster
  before(
    async () => {
      file = (await provideLayer()).helm
      cluster = await startCluster()
    },
    { timeout: firstMs },
  )
  after(() => cluster?.stop())

  const env = () => ({
    HOME: cluster.dir.root,
    HELM_CACHE_HOME: cluster.dir.root,
    HELM_CONFIG_HOME: cluster.dir.root,
    HELM_DATA_HOME: cluster.dir.root,
    KUBECONFIG: cluster.dir.kubeconfig,
  })
  const helm = (...args: readonly string[]) => must(file, [...args, '--namespace', namespace], { env: env() })
  const json = async (...args: readonly string[]): Promise<Any> => JSON.parse(await helm(...args, '--output', 'json'))
  const links = (release: string, want: string) =>
    cluster.api.until(want, vmisPath(namespace, release), (vmi) => linkStates(vmi)?.join() === want)
  const uid = async (release: string) => (await cluster.api.get(vmisPath(namespace, release))).metadata.uid
  const nads = async (release: string) => {
    const all = await cluster.api.list(nadsPath(namespace))
    return all.map(({ metadata }) => metadata.name).filter((name) => name.startsWith(`${release}-`))
  }

  for (const mode of ['true', 'false'])
    it(`installs, upgrades, rolls back and removes a VM with two networks, with --server-side=${mode}`, async () => {
      const release = `mode-${mode}`
      const how = [`--server-side=${mode}`, '--wait', '--timeout', '60s']
      const down = ['--set', 'lan.state=down']
      const dry = await helm('install', release, chart, '--dry-run=server', `--server-side=${mode}`)
      assert.match(dry, /kind: VirtualMachine/)
      assert.equal(await cluster.api.get(vmsPath(namespace, release)), undefined)

      assert.equal((await json('install', release, chart, ...how)).info.status, 'deployed')
      assert.deepEqual(await nads(release), [`${release}-dmz`, `${release}-lan`])
      await links(release, 'default up,lan up,dmz up')
      const first = await uid(release)

      await helm('upgrade', release, chart, ...how, ...down)
      const waited = await cluster.api.get(vmsPath(namespace, release))
      assert.equal(waited.status.observedGeneration, waited.metadata.generation)
      await links(release, 'default up,lan down,dmz up')
      await helm('upgrade', release, chart, ...how, ...down)
      const still = await cluster.api.get(vmsPath(namespace, release))
      await helm('rollback', release, '1', `--server-side=${mode}`, '--wait', '--timeout', '60s')
      await links(release, 'default up,lan up,dmz up')
      assert.equal(await uid(release), first)
      // The same upgrade twice was one change.
      assert.equal(
        (await cluster.api.get(vmsPath(namespace, release))).metadata.generation,
        still.metadata.generation + 1,
      )

      const history: Any[] = await json('history', release)
      assert.deepEqual(
        history.map(({ revision, status }) => `${revision} ${status}`),
        ['1 superseded', '2 superseded', '3 superseded', '4 deployed'],
      )
      assert.equal((await json('status', release)).version, 4)
      const values = await json('get', 'values', release)
      assert.equal(values, null)

      await helm('uninstall', release, '--wait', '--timeout', '60s')
      assert.equal(await cluster.api.get(vmsPath(namespace, release)), undefined)
      assert.deepEqual(await nads(release), [])
      const secrets: Any[] = await cluster.api.list(`/api/v1/namespaces/${namespace}/secrets`)
      assert.deepEqual(
        secrets.filter(({ type }) => type === 'helm.sh/release.v1'),
        [],
      )
    })

  it('waits for a VM that does not run until its time is over, and says that the upgrade failed', async () => {
    const missing = ['--set', 'image=missing']
    await helm('install', 'stuck', chart, ...missing)
    // A VM that nothing is known of yet is ready to helm.
    const isKnown = (one: Any) => one?.status?.conditions?.some(({ type }: Any) => type === 'Ready')
    await cluster.api.until('its condition', vmsPath(namespace, 'stuck'), isKnown)
    const upgrade = ['upgrade', 'stuck', chart, ...missing, '--set', 'lan.state=down', '--namespace', namespace]
    const waiting = [...upgrade, '--wait', '--timeout', '2s']
    const { code, stderr } = await program(file, waiting, { env: env() })
    assert.equal(code, 1)
    assert.match(stderr, /VirtualMachine\/default\/stuck not ready/)
    const history: Any[] = await json('history', 'stuck')
    assert.deepEqual(
      history.map(({ status }) => status),
      ['deployed', 'failed'],
    )
    await helm('uninstall', 'stuck', '--wait', '--timeout', '60s')
    assert.equal(await cluster.api.get(vmsPath(namespace, 'stuck')), undefined)
  })

  it('takes over a link that somebody else changed, and says whose it was unless it is forced', async () => {
    await helm('install', 'shared', chart, '--server-side=true', '--wait')
    const path = '/spec/template/spec/domain/devices/interfaces/1/state'
    await cluster.api.patch(vmsPath(namespace, 'shared'), [{ op: 'replace', path, value: 'down' }])
    await links('shared', 'default up,lan down,dmz up')
    const upgrade = ['upgrade', 'shared', chart, '--server-side=true', '--namespace', namespace]
    const refused = await program(file, upgrade, { env: env() })
    assert.equal(refused.code, 1)
    assert.match(refused.stderr, /conflict.*\n?.*interfaces.*state/i)
    await helm('upgrade', 'shared', chart, '--server-side=true', '--force-conflicts', '--wait')
    await links('shared', 'default up,lan up,dmz up')
    await helm('uninstall', 'shared', '--wait')
  })

  it('does not install what the server refuses', async () => {
    const { code, stderr } = await program(
      file,
      ['install', 'wrong', chart, '--set', 'lan.state=broken', '--namespace', namespace],
      { env: env() },
    )
    assert.equal(code, 1)
    assert.match(stderr, /logical lan interface state value is unsupported: broken/)
    assert.equal(await cluster.api.get(vmsPath(namespace, 'wrong')), undefined)
  })

  it('meets no bug of the server', () => assert.deepEqual(cluster.errors, []))
})
