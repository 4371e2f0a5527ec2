import { readFile } from 'node:fs/promises'
import { connect } from 'node:http2'
import { load } from 'js-yaml'
import { eventually } from '#base/wait.ts'
import type { Api } from '../tools/stage/api.ts'
import { path } from '../tools/stage/api.ts'
import { flip, vm } from '../tools/stage/manifests.ts'
import { Stage } from '../tools/stage/stage.ts'
import { line, percentile, show } from './figures.ts'
import { pssMb } from './process.ts'

const few = 100
const many = 10_000
const watchers = 1000

/** 10,000 instances on a simulated host: lists, memory, and what a change costs beside what it costs among 100. */
export async function benchScale(): Promise<void> {
  await using stage = await Stage.open({ simulate: true })
  await stage.up()
  const { api } = stage
  await grow(api, 0, few)
  const alone = await changes(api)
  const start = performance.now()
  await grow(api, few, many)
  line(`${many - few} VMs created and running`, `${((performance.now() - start) / 1000).toFixed(0)} s`)
  const lists = await timed(5, () => api.call('GET', path.vmi()))
  line(`list of ${many} instances, p50`, `${percentile(lists, 0.5).toFixed(0)} ms (promised < 1000)`)
  const gets = await timed(100, () => api.call('GET', path.vmi('v50')))
  line('get of one instance among them, p50', `${percentile(gets, 0.5).toFixed(1)} ms`)
  show({
    what: `link change among ${many} instances, against ${few}`,
    ours: percentile(await changes(api), 0.5),
    theirs: percentile(alone, 0.5),
    unit: 'ms',
  })
  line(`server with ${many} instances`, `${(await pssMb(stage.pid)).toFixed(0)} MB PSS (promised < 1000)`)
}

/** One change told to 1,000 watchers, over 10 connections. */
export async function benchWatchers(): Promise<void> {
  await using stage = await Stage.open({ simulate: true })
  await stage.up()
  const { api } = stage
  const configMap = '/api/v1/namespaces/default/configmaps/c'
  await api.call('POST', '/api/v1/namespaces/default/configmaps', { metadata: { name: 'c' } })
  const before = await pssMb(stage.pid)
  const config = load(await readFile(stage.kubeconfig, 'utf8')) as Any
  const pem = (text: string) => Buffer.from(text, 'base64').toString()
  const { user } = config.users[0]
  const { cluster } = config.clusters[0]
  const tls = {
    ca: pem(cluster['certificate-authority-data']),
    cert: pem(user['client-certificate-data']),
    key: pem(user['client-key-data']),
  }
  const sessions = Array.from({ length: 10 }, () => connect(cluster.server, tls))
  let events = 0
  const streams = sessions.flatMap((session) =>
    Array.from({ length: watchers / 10 }, () => {
      const stream = session.request({ ':path': '/api/v1/namespaces/default/configmaps?watch=1' })
      stream.on('data', (chunk: Buffer) => (events += chunk.toString().split('\n').length - 1))
      return stream
    }),
  )
  const patch = (n: number) => api.call('PATCH', configMap, { data: { n: String(n) } }, 'application/merge-patch+json')
  await eventually('all are watching', () => events >= watchers, { deadlineMs: 60_000 })
  const spans: number[] = []
  for (let i = 0; i < 50; i++) {
    const due = events + watchers
    const start = performance.now()
    await Promise.all([patch(i), eventually('all are told', () => events >= due, { everyMs: 1 })])
    spans.push(performance.now() - start)
  }
  line(
    `one change told to ${watchers} watchers, p50 (p99)`,
    `${percentile(spans, 0.5).toFixed(0)} (${percentile(spans, 0.99).toFixed(0)}) ms`,
  )
  const start = performance.now()
  const due = events + watchers * 200
  for (let i = 0; i < 200; i++) await patch(1000 + i)
  await eventually('all are told', () => events >= due, { everyMs: 1, deadlineMs: 120_000 })
  line(
    'events to them, one PATCH after the other',
    `${((watchers * 200) / (performance.now() - start)).toFixed(0)} thousand/s`,
  )
  line(
    `server with ${watchers} watchers`,
    `${(await pssMb(stage.pid)).toFixed(0)} MB PSS (${before.toFixed(0)} before)`,
  )
  for (const stream of streams) stream.close()
  for (const session of sessions) session.destroy()
}

// biome-ignore lint/suspicious/noExplicitAny: a kubeconfig, looked into as it comes
type Any = any

/** Creates VMs `v<from>` to `v<to - 1>` and waits until they run. */
async function grow(api: Api, from: number, to: number): Promise<void> {
  let next = from
  const work = async () => {
    for (let i = next++; i < to; i = next++) await api.call('POST', path.vm(), vm(`v${i}`, { pod: 'up' }))
  }
  await Promise.all(Array.from({ length: 16 }, work))
  await eventually(
    `${to} instances run`,
    async () => {
      const { body } = await api.call('GET', path.vmi())
      return body.items.filter((one: Any) => one.status?.phase === 'Running').length === to
    },
    { deadlineMs: 900_000, everyMs: 1000 },
  )
}

/** Times of link changes, from the first byte of the PATCH until the instance's status tells of it, milliseconds. */
async function changes(api: Api): Promise<number[]> {
  let state = 'up'
  return timed(60, async () => {
    state = state === 'up' ? 'down' : 'up'
    await api.call('PATCH', path.vm('v50'), flip({ 0: state }), 'application/json-patch+json')
    await eventually(
      'the link is told',
      async () => (await api.call('GET', path.vmi('v50'))).body.status.interfaces[0].linkState === state,
      { everyMs: 1 },
    )
  })
}

async function timed(times: number, work: () => Promise<unknown>): Promise<number[]> {
  const spans: number[] = []
  for (let i = 0; i < times; i++) {
    const start = performance.now()
    await work()
    spans.push(performance.now() - start)
  }
  return spans
}
