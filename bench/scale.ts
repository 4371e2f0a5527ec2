import { delay, eventually } from '#base/wait.ts'
import { path } from '../tools/stage/api.ts'
import { vm } from '../tools/stage/manifests.ts'
import type { Stage } from '../tools/stage/stage.ts'
import { note, percentile, show, showAlone } from './figures.ts'
import { cpuMs, pssMb, untilRests } from './proc.ts'

const [few, many] = [100, 10_000]
/** Creations under way at a time. */
const width = 32
const patches = 200
const lists = 5

/** Listing 10,000 instances that simulated agents run, memory, and what one change costs among them against among 100. */
export async function benchScale(stage: Stage): Promise<void> {
  await fill(stage, 0, few)
  const before = await patchMs(stage)
  const seconds = await fill(stage, few, many)
  note(`${many} instances by a simulated agent`, `all run after ${seconds.toFixed(0)} s`)
  const after = await patchMs(stage)
  const times: number[] = []
  const usedMs = await cpuMs(stage.pid)
  for (let i = 0; i < lists; i++) {
    const start = performance.now()
    const { body } = await stage.api.call('GET', path.vmi())
    times.push(performance.now() - start)
    if (body.items.length !== many) throw new Error(`the list has ${body.items.length} instances`)
  }
  note(`server CPU per list of ${many} instances`, `${(((await cpuMs(stage.pid)) - usedMs) / lists).toFixed(0)} ms`)
  showAlone(`list of ${many} instances, p50 of ${lists}, parsed`, percentile(times, 0.5), 'ms', 1000)
  const one: number[] = []
  for (let i = 0; i < patches; i++) {
    const start = performance.now()
    await stage.api.call('GET', path.vmi('i5'))
    one.push(performance.now() - start)
  }
  showAlone(`get of one of ${many} instances, p50`, percentile(one, 0.5), 'ms')
  showAlone(`server with ${many} instances`, await pssMb(stage.pid), 'MB PSS', 1000)
  const sides = { ours: percentile(after, 0.5), theirs: percentile(before, 0.5), unit: 'ms', other: `among ${few}` }
  show({ what: `PATCH of one of ${many} instances, p50`, ...sides, promise: 1.5 })
}

/** Makes instances and waits until all run; resolves to how long that took, seconds. */
async function fill(stage: Stage, from: number, to: number): Promise<number> {
  const start = performance.now()
  let next = from
  const work = async () => {
    while (next < to) {
      const name = `i${next++}`
      const { template } = vm(name).spec
      const body = { apiVersion: 'kubevirt.io/v1', kind: 'VirtualMachineInstance', metadata: { name }, ...template }
      const { code, body: answer } = await stage.api.call('POST', path.vmi(), body)
      if (code !== 201) throw new Error(`POST was answered ${code}: ${JSON.stringify(answer)}`)
    }
  }
  await Promise.all(Array.from({ length: width }, work))
  const isRunning = (one: { status?: { phase?: string } }) => one.status?.phase === 'Running'
  const allRun = async () => {
    const { body } = await stage.api.call('GET', path.vmi())
    if (body.items.filter(isRunning).length === to) return true
    await delay(1000)
    return false
  }
  await eventually(`${to} instances to run`, allRun, { deadlineMs: 900_000, everyMs: 1000 })
  return (performance.now() - start) / 1000
}

/** Patches some of the instances once the server has dealt with what was asked of it before. */
async function patchMs(stage: Stage): Promise<number[]> {
  await untilRests(stage.pid)
  const samples: number[] = []
  for (let i = 0; i < patches; i++) {
    const body = { metadata: { annotations: { n: String(i) } } }
    const start = performance.now()
    const { code } = await stage.api.call('PATCH', path.vmi(`i${i % few}`), body, 'application/merge-patch+json')
    samples.push(performance.now() - start)
    if (code !== 200) throw new Error(`PATCH was answered ${code}`)
  }
  return samples
}
