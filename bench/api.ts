import { mkdtemp, rm } from 'node:fs/promises'
import type { JsonObject } from '#base/json.ts'
import { openSqliteStore } from '#machinery/store/sqlite.ts'
import type { Store } from '#machinery/store/store.ts'
import { path } from '../tools/stage/api.ts'
import { flip, nad, vm } from '../tools/stage/manifests.ts'
import type { Stage } from '../tools/stage/stage.ts'
import { note, percentile, show } from './figures.ts'
import { cpuMs } from './proc.ts'
import { Wire } from './wire.ts'

/** How long each side is measured in a round, milliseconds. */
const measureMs = 1_500
const rounds = 5
const clientCounts = [1, 16, 64]
const most = Math.max(...clientCounts)

/** Writes per second, and what of the server's CPU each took, microseconds. */
type Rate = Readonly<{ perSecond: number; cpuUs: number }>

/** What the clients do, each to an object of its own. */
type Work = Readonly<{
  what: string
  path(name?: string): string
  manifest(name: string): unknown
  type: string
  patch(n: number): unknown
}>

const works: readonly Work[] = [
  {
    what: 'an annotation of a NAD',
    path: path.nad,
    manifest: nad,
    type: 'application/merge-patch+json',
    patch: (n) => ({ metadata: { annotations: { n: String(n) } } }),
  },
  {
    what: 'a link of a halted VM, followed by its controller',
    path: path.vm,
    manifest: (name) => vm(name, { runStrategy: 'Halted', secondary: { blue: 'up' } }),
    type: 'application/json-patch+json',
    patch: (n) => flip({ 1: n % 2 ? 'up' : 'down' }),
  },
]

/**
 * PATCHes per second of a server in a process of its own, against commits of the same objects to the same kind of store on the
 * same disk without a server: by one writer after another, and by as many at once as there are clients.
 */
export async function benchApi(stage: Stage): Promise<void> {
  const dir = await mkdtemp('/tmp/pb-raw-')
  const store = await openSqliteStore({ path: `${dir}/store.db` })
  try {
    for (const work of works) await benchWork(stage, store, work)
  } finally {
    await store.close()
    await rm(dir, { recursive: true, force: true })
  }
}

async function benchWork(stage: Stage, store: Store, work: Work): Promise<void> {
  for (let i = 0; i < most; i++) await stage.api.call('POST', work.path(), work.manifest(`p${i}`))
  const { body: object } = await stage.api.call('GET', work.path('p0'))
  // Both sides without looking first: their code is compiled then.
  for (let i = 0; i < rounds; i++) await patches(stage, most, work)
  await commits(store, object, 1)
  for (const count of clientCounts) {
    const bare: number[] = []
    const wide: number[] = []
    const rates: Rate[] = []
    // The sides alternate, so that whatever else the machine does hits both.
    for (let round = 0; round < rounds; round++) {
      bare.push(await commits(store, object, 1))
      rates.push(await patches(stage, count, work))
      wide.push(await commits(store, object, count))
    }
    const ours = percentile(
      rates.map(({ perSecond }) => perSecond),
      0.5,
    )
    const cpuUs = percentile(
      rates.map((rate) => rate.cpuUs),
      0.5,
    )
    const what = `${count} ${count === 1 ? 'client' : 'clients'} patching ${work.what}`
    const promised = count === most && work === works[0] ? { promisedAtLeast: 0.4 } : {}
    show({ what, ours, theirs: percentile(bare, 0.5), unit: '/s', other: 'one writer on a bare store', ...promised })
    note(
      '',
      `${count} writers on a bare store ${percentile(wide, 0.5).toFixed(0)} /s; server CPU ${cpuUs.toFixed(0)} µs per PATCH`,
    )
  }
}

/** Every client patches its own object without pause. */
async function patches(stage: Stage, width: number, work: Work): Promise<Rate> {
  const clients = await Promise.all(Array.from({ length: width }, () => Wire.open(stage)))
  const cpu = await cpuMs(stage.pid)
  const start = performance.now()
  const counts = clients.map(async (client, i) => {
    let done = 0
    for (; performance.now() - start < measureMs; done++) {
      const code = await client.patch(work.path(`p${i}`), work.type, work.patch(done))
      if (code !== 200) throw new Error(`PATCH was answered ${code}`)
    }
    return done
  })
  const done = (await Promise.all(counts)).reduce((sum, count) => sum + count, 0)
  const seconds = (performance.now() - start) / 1000
  for (const client of clients) client.close()
  return { perSecond: done / seconds, cpuUs: (((await cpuMs(stage.pid)) - cpu) * 1000) / done }
}

/** Each of `width` writers commits an object without pause. */
async function commits(store: Store, object: JsonObject, width: number): Promise<number> {
  const start = performance.now()
  const counts = Array.from({ length: width }, async (_, i) => {
    let done = 0
    for (; performance.now() - start < measureMs; done++)
      await store.update(`/bench/objects/default/p${i}`, () => ({
        type: 'put',
        value: { ...object, n: done },
      }))
    return done
  })
  const done = (await Promise.all(counts)).reduce((sum, count) => sum + count, 0)
  return (done * 1000) / (performance.now() - start)
}
