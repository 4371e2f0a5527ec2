import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { Session } from 'node:inspector/promises'
import { after, before, describe, it } from 'node:test'
import { vmisPath, vmsPath } from './api.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { linkStates, makeNamespace, run, statePatch, vm } from './manifests.ts'

/** A row of the table in docs/ARCHITECTURE.md: a file of src/, and the function of it that a change passes through. */
type Row = Readonly<{ file: string; name: string }>

/** Most files from the change until its status is written, and of these from the agent's wake-up. */
const mostFiles = 20
const mostOfAgent = 8

function documented(): Row[] {
  const text = readFileSync(new URL('../../docs/ARCHITECTURE.md', import.meta.url), 'utf8')
  const rows = text.matchAll(/^\| \d+ \| `([^`]+)` \| `([^`]+)` \|$/gm)
  return [...rows].map(([, file = '', name = '']) => ({ file, name }))
}

describe('the life of one change', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster()
  })
  after(() => cluster?.stop())

  /** The functions that ran meanwhile, as `file function`, wherever they are defined in it. */
  async function ranDuring(work: () => Promise<unknown>): Promise<ReadonlySet<string>> {
    const session = new Session()
    session.connect()
    try {
      await session.post('Profiler.enable')
      await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false })
      await session.post('Profiler.takePreciseCoverage')
      await work()
      const { result } = await session.post('Profiler.takePreciseCoverage')
      const ran = result.flatMap(({ url, functions }) => {
        const file = /\/src\/(.*)$/.exec(url)?.[1]
        const names = functions.filter(({ ranges }) => ranges[0]?.count).map((one) => one.functionName)
        return file === undefined ? [] : names.map((name) => `${file} ${name.replace('#', '')}`)
      })
      return new Set(ran)
    } finally {
      session.disconnect()
    }
  }

  it('passes through the files that docs/ARCHITECTURE.md lists, and these are few', async () => {
    const ns = await makeNamespace(cluster.api, ['red'])
    await run(cluster.api, ns, vm('a', [{ name: 'red' }]))
    const ran = await ranDuring(async () => {
      await cluster.api.patch(vmsPath(ns, 'a'), statePatch(['up', 'down']))
      await cluster.api.until('the link is down', vmisPath(ns, 'a'), (one) => linkStates(one)[1] === 'red down')
    })
    const rows = documented()
    // The host is one in memory here.
    const ours = rows.filter(({ file }) => !file.startsWith('drivers/'))
    assert.deepEqual(
      ours.filter(({ file, name }) => !ran.has(`${file} ${name}`)),
      [],
    )
    const files = ours.map(({ file }) => file)
    assert.ok(files.length >= 15 && rows.length <= mostFiles, `${rows.length} files`)
    const ofAgent = files.slice(files.indexOf('agent/agent.ts'))
    assert.ok(ofAgent.length <= mostOfAgent, `${ofAgent.length} files from the wake-up to the status: ${ofAgent}`)
    assert.deepEqual([ofAgent[0], ofAgent.at(-1)], ['agent/agent.ts', 'core/vm/running.ts'])
  })
})
