import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { path } from '../tools/stage/api.ts'
import { vm } from '../tools/stage/manifests.ts'
import type { Stage } from '../tools/stage/stage.ts'
import { note, percentile, showAlone } from './figures.ts'

/** Bytes of a body at the limit, `--max-request-bytes`, but for its braces. */
const maxBytes = 3 * 1024 * 1024 - 4096
/** Values of a body at their limit, but for those around them. */
const maxValues = 19_900
const rounds = 3
/** What is aimed for, milliseconds: while one request is worked on, no other waits longer. */
const goalMs = 100

const maps = '/api/v1/namespaces/default/configmaps'
const merge = 'application/merge-patch+json'
const strategic = 'application/strategic-merge-patch+json'
const pathOfVm = path.vm('x')
const interfaces = (list: unknown[]) => ({
  spec: { template: { spec: { domain: { devices: { interfaces: list } } } } },
})
const fields = (items: unknown[]) => Object.fromEntries(items.map((item, i) => [`k${i + 1_000_000}`, item]))

/** Requests that each work another part of the server: of which items their body is made, and how. */
type Shape = Readonly<{
  what: string
  item: (i: number) => unknown
  values: number
  body: (items: unknown[]) => unknown
}> &
  Readonly<{ method?: string; to: string; type?: string }>
const shapes: readonly Shape[] = [
  { what: 'many keys', item: () => '-', values: 1, to: maps, body: (items) => ({ data: fields(items) }) },
  {
    what: 'many labels',
    item: () => '-',
    values: 1,
    to: maps,
    body: (items) => ({ metadata: { labels: fields(items) } }),
  },
  {
    what: 'many finalizers',
    item: (i) => `a.b/${i}`,
    values: 1,
    to: maps,
    body: (finalizers) => ({ metadata: { finalizers } }),
  },
  { what: 'unknown fields', item: () => '-', values: 1, to: path.vm(), body: fields },
  { what: 'many interfaces', item: (i) => ({ name: `n${i}` }), values: 2, to: path.vm(), body: interfaces },
  { what: 'interfaces of a wrong type', item: () => 1, values: 1, to: path.vm(), body: interfaces },
  {
    what: 'a merge patch of annotations',
    item: () => '-',
    values: 1,
    method: 'PATCH',
    to: pathOfVm,
    type: merge,
    body: (items) => ({ metadata: { annotations: fields(items) } }),
  },
  {
    what: 'a strategic patch of interfaces',
    item: (i) => ({ name: `n${i}` }),
    values: 2,
    method: 'PATCH',
    to: pathOfVm,
    type: strategic,
    body: interfaces,
  },
  {
    what: 'an apply of annotations',
    item: () => '-',
    values: 1,
    method: 'PATCH',
    to: `${pathOfVm}?fieldManager=m&force=true`,
    type: 'application/apply-patch+yaml',
    body: (items) => ({ ...vm('x', {}), metadata: { name: 'x', annotations: fields(items) } }),
  },
  {
    what: 'operations of a JSON patch',
    item: (i) => ({ op: 'add', path: `/metadata/annotations/k${i}`, value: '-' }),
    values: 4,
    method: 'PATCH',
    to: pathOfVm,
    type: 'application/json-patch+json',
    body: (items) => items,
  },
]

/** The longest time that requests at the size limit keep the server from answering anybody else. */
export async function benchPause(stage: Stage): Promise<void> {
  await stage.api.call('POST', path.vm(), vm('x', { runStrategy: 'Halted', secondary: { blue: 'up' } }))
  const health = new Worker(new URL('pause-health.ts', import.meta.url), { workerData: stage.kubeconfig })
  await once(health, 'message')
  const longest = async (work: () => Promise<unknown>): Promise<number> => {
    health.postMessage('begin')
    await once(health, 'message')
    await work()
    health.postMessage('end')
    const [ms] = await once(health, 'message')
    return ms as number
  }
  let worst = 0
  try {
    const ask = async (what: string, { method = 'POST', to, type }: Omit<Shape, 'body'>, body: unknown) => {
      const times: number[] = []
      let code = 0
      for (let round = 0; round < rounds; round++)
        times.push(await longest(async () => ({ code } = await stage.api.call(method, to, body, type))))
      const median = percentile(times, 0.5)
      worst = Math.max(worst, median)
      note(`others wait for ${what} (${code})`, `${median.toFixed(0)} ms at most`)
    }
    await ask('one long text', shapes[0]!, { data: { k: 'x'.repeat(maxBytes) } })
    for (const shape of shapes) {
      const { what, item, values, body } = shape
      const itemBytes = JSON.stringify(item(1_000_000)).length
      const items = (count: number) => Array.from({ length: Math.floor(count) }, (_, i) => item(i + 1_000_000))
      await ask(`${what}, as many as there may be`, shape, body(items(maxValues / values)))
      await ask(`${what}, as large as a body may be`, shape, body(items(maxBytes / (itemBytes + 12))))
    }
  } finally {
    await health.terminate()
  }
  showAlone(`longest wait beside one request at the size limit, goal ${goalMs}`, worst, 'ms')
}
