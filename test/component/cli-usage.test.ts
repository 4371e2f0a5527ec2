import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { cli } from './cli-kit.ts'
import { type Cluster, startCluster } from './cluster.ts'

describe('the command line', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster()
  })
  after(() => cluster?.stop())

  it('a wrong command line ends with exit code 2, and 1 for virtctl’s verbs, with what is wrong', async () => {
    for (const [line, code, text] of [
      ['link toggle a default', 2, /'toggle' is invalid for argument 'state'\. Allowed choices are up, down/],
      ['link down a', 2, /missing required argument 'interface'/],
      ['plug a x', 2, /required option '--network <nad>' not specified/],
      ['nonsense', 2, /unknown command 'nonsense'/],
      ['up --nonsense', 2, /unknown option '--nonsense'/],
      ['start', 1, /missing required argument 'vm'/],
      ['link --help', 0, /^$/],
    ] as const) {
      const ran = await cli(cluster, line)
      assert.equal(ran.code, code, line)
      assert.match(ran.err, text)
    }
  })
})
