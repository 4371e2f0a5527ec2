import { path } from '../tools/stage/api.ts'
import type { Stage } from '../tools/stage/stage.ts'
import { cpuMs, delayRef, pssMb } from './proc.ts'

/** Memory idle and a minute after a burst of 10,000 PATCHes, and CPU while nothing happens. */
export async function benchMemory(stage: Stage): Promise<void> {
  const idleMs = 20_000
  const before = await cpuMs(stage.pid)
  await delayRef(idleMs)
  const share = ((await cpuMs(stage.pid)) - before) / idleMs
  console.log(
    `${'server idle beside one VM'.padEnd(58)} ${(await pssMb(stage.pid)).toFixed(0)} MB PSS (promised ≤ 150), ${(share * 100).toFixed(2)} % of a core (promised ≤ 1)`,
  )
  const start = performance.now()
  const patch = (n: number) =>
    stage.api.call(
      'PATCH',
      path.nad('blue'),
      { metadata: { annotations: { n: String(n) } } },
      'application/merge-patch+json',
    )
  for (let n = 0; n < 10_000; n += 64)
    await Promise.all(Array.from({ length: Math.min(64, 10_000 - n) }, (_, i) => patch(n + i)))
  const seconds = (performance.now() - start) / 1000
  console.log(`${'10,000 PATCHes from 64 clients'.padEnd(58)} ${(10_000 / seconds).toFixed(0)} PATCH/s`)
  await delayRef(60_000)
  console.log(
    `${'server 60 s after the burst'.padEnd(58)} ${(await pssMb(stage.pid)).toFixed(0)} MB PSS (promised ≤ 150)`,
  )
}
