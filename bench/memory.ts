import { path } from '../tools/stage/api.ts'
import type { Stage } from '../tools/stage/stage.ts'
import { showAlone } from './figures.ts'
import { cpuMs, delayRef, pssMb, untilRests } from './proc.ts'

/** Memory idle and a minute after a burst of 10,000 PATCHes, and CPU while nothing happens. */
export async function benchMemory(stage: Stage): Promise<void> {
  const idleMs = 60_000
  // What the guest's start left to do is no idleness.
  await untilRests(stage.pid, 20)
  const before = await cpuMs(stage.pid)
  await delayRef(idleMs)
  const share = ((await cpuMs(stage.pid)) - before) / idleMs
  showAlone('memory of the server idle beside one VM', await pssMb(stage.pid), 'MB PSS', 100)
  showAlone('CPU of the server idle beside one VM', share * 100, '% of a core', 1)
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
  showAlone('10,000 PATCHes from 64 clients', 10_000 / seconds, 'PATCH/s')
  await delayRef(60_000)
  showAlone('memory of the server 60 s after the burst', await pssMb(stage.pid), 'MB PSS', 130)
}
