import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { must } from '../../tools/stage/program.ts'
import { type Cluster, startCluster } from '../component/cluster.ts'
import { firstMs } from './install/cache.ts'
import { providePython } from './install/python.ts'

const peer = fileURLToPath(new URL('python/peer.py', import.meta.url))
const requirements = fileURLToPath(new URL('python/requirements.txt', import.meta.url))
/** Its cases, each one test. */
const names = [...readFileSync(peer, 'utf8').matchAll(/^@case\("(.+)"\)$/gm)].map(([, name = '']) => name)

describe('kubernetes, the client of Python', () => {
  let cluster: Cluster
  let troubles: ReadonlyMap<string, string>
  before(
    async () => {
      const { python } = await providePython('python-kubernetes', requirements)
      cluster = await startCluster()
      const lines = (await must(python, [peer, cluster.dir.kubeconfig])).trim().split('\n')
      troubles = new Map(
        lines.map((line) => {
          const { name, trouble } = JSON.parse(line)
          return [name, trouble]
        }),
      )
    },
    { timeout: firstMs },
  )
  after(() => cluster?.stop())

  assert.ok(names.length > 0)
  for (const name of names) it(name, () => assert.ok(troubles.get(name) === '', troubles.get(name) ?? 'It was not run'))

  it('meets no bug of the server', () => assert.deepEqual(cluster.errors, []))
})
