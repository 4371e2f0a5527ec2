import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { type Expected, expectations, type Manifest, manifestsRoot, objectsOf } from '#kit/manifests.ts'
import { apply, pathOf, reasonsOf } from './apply-manifest.ts'
import { type Cluster, startCluster } from './cluster.ts'

/** What a VM waits for before it has an instance. */
const ofVm: ReadonlySet<string> = new Set(['Provisioning', 'DataVolumeError'])

/** What a manifest says of its namespace in messages, which have another one in each run. */
const placeholder = 'NAMESPACE'

describe('a manifest of other people', { concurrency: 4 }, () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster()
  })
  after(() => cluster?.stop())

  const table = expectations()
  for (const [i, [path, expected]] of [...table].entries())
    it(`${path} (${expected.shape}) has the outcome of the table`, async () => {
      const namespace = `shape-${i}`
      await cluster.api.create('/api/v1/namespaces', { metadata: { name: namespace } })
      const objects = objectsOf(path)
      const { refused, warnings } = await apply(cluster.api, namespace, objects)
      assert.deepEqual(warnings, expected.warnings ?? [])
      const { outcome } = expected
      const sentence = typeof outcome === 'object' && 'refused' in outcome ? outcome.refused : undefined
      assert.equal(refused?.replaceAll(namespace, placeholder), sentence)
      if (refused === undefined && outcome !== 'made') await reaches(objects.at(-1), namespace, outcome)
    })

  it('that the README shows runs without a warning', async () => {
    const namespace = 'shown'
    await cluster.api.create('/api/v1/namespaces', { metadata: { name: namespace } })
    const objects = objectsOf('../../docs/examples/cloud.yaml')
    assert.deepEqual(await apply(cluster.api, namespace, objects), { warnings: [] })
    await reaches(objects.at(-1), namespace, 'runs')
  })

  it('is in the table, and nothing else is', () => {
    const files = readdirSync(manifestsRoot, { recursive: true, encoding: 'utf8' }).filter((one) => one.includes('/'))
    assert.deepEqual(files.toSorted(), [...table.keys()].toSorted())
    assert.ok(files.length >= 60)
    assert.deepEqual(cluster.errors, [])
  })

  /** Starts what does not start by itself, and waits for the outcome of its instance. */
  async function reaches(last: Manifest, namespace: string, outcome: Expected['outcome']): Promise<void> {
    const { running, runStrategy } = last.spec
    if (running === false || runStrategy === 'Halted' || runStrategy === 'Manual') {
      const { code, text } = await cluster.api.send('PUT', pathOf(last, namespace, 'start'), { body: {} })
      assert.equal(code, 202, text)
    }
    const waits = typeof outcome === 'object' && 'waits' in outcome ? outcome.waits : undefined
    if (waits !== undefined && ofVm.has(waits))
      await cluster.api.until(
        `the status ${waits}`,
        pathOf(last, namespace),
        (one) => one?.status?.printableStatus === waits,
      )
    else await instanceReaches(last, namespace, waits)
    await cluster.api.delete(pathOf(last, namespace))
  }

  async function instanceReaches(last: Manifest, namespace: string, waits: string | undefined): Promise<void> {
    const vmi = pathOf({ ...last, kind: 'VirtualMachineInstance' }, namespace)
    await cluster.api.until(`the outcome ${waits ?? 'Running'}`, vmi, (one) =>
      waits === undefined ? one?.status?.phase === 'Running' : reasonsOf(one).includes(waits),
    )
  }
})
