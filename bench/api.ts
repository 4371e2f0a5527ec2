import { mkdtemp, rm } from 'node:fs/promises'
import { openSqliteStore } from '#machinery/store/sqlite.ts'
import { Stage } from '../tools/stage/stage.ts'
import { line, show } from './figures.ts'
import { cpuMs } from './process.ts'

/** How long each side is measured, milliseconds. */
const measureMs = 4000
const clients = [1, 16, 64] as const

/** PATCHes a second over TLS by so many clients, against commits a second of the same store without anything around it. */
export async function benchApi(): Promise<void> {
  const raw = await rawCommits()
  await using stage = await Stage.open({ simulate: true })
  await stage.up()
  const configMaps = '/api/v1/namespaces/default/configmaps'
  for (let i = 0; i < 64; i++)
    await stage.api.call('POST', configMaps, { metadata: { name: `c${i}` }, data: { n: '0' } })
  const patch = (client: number, n: number) =>
    stage.api.call('PATCH', `${configMaps}/c${client}`, { data: { n: String(n) } }, 'application/merge-patch+json')
  await perSecond(16, 1000, patch)
  for (const [i, count] of clients.entries()) {
    const cpu = await cpuMs(stage.pid)
    const { rate, done } = await perSecond(count, measureMs, patch)
    const cost = ((await cpuMs(stage.pid)) - cpu) / done
    show({
      what: `PATCHes from ${count} clients, against one sequential writer`,
      ours: rate,
      theirs: raw[0]!,
      unit: '/s',
      ...(count === 64 && { promise: 0.4 }),
      isRate: true,
    })
    line('', `${cost.toFixed(2)} ms CPU each; ${count} writers on the store alone: ${raw[i]!.toFixed(0)} commits/s`)
  }
}

/** Commits a second of the store by 1, 16 and 64 writers. */
async function rawCommits(): Promise<number[]> {
  const folder = await mkdtemp('/tmp/pb-raw-')
  const store = await openSqliteStore({ path: `${folder}/store.db` })
  try {
    const value = { metadata: { name: 'c' }, data: { n: '0' } }
    const put = (client: number, n: number) =>
      store.update(`/core/configmaps/default/c${client}`, () => ({
        type: 'put',
        value: { ...value, data: { n: String(n) } },
      }))
    const rates: number[] = []
    for (const count of clients) rates.push((await perSecond(count, measureMs, put)).rate)
    return rates
  } finally {
    await store.close()
    await rm(folder, { recursive: true, force: true })
  }
}

/** Has `count` clients do something again and again, each waiting for its answer. */
async function perSecond(
  count: number,
  ms: number,
  work: (client: number, n: number) => Promise<unknown>,
): Promise<{ rate: number; done: number }> {
  let done = 0
  const start = performance.now()
  await Promise.all(
    Array.from({ length: count }, async (_, client) => {
      for (; performance.now() - start < ms; done++) await work(client, done)
    }),
  )
  return { rate: (done / (performance.now() - start)) * 1000, done }
}
