import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Growth that is not held against anybody, MB: what compiled code and caches of fixed size may still come to. */
const toleranceMb = 4

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** What is really held in memory now, MB. */
export async function heldMb(): Promise<number> {
  // What the first time lets go of (connections, buffers) is only free after the event loop has told those concerned.
  for (let i = 0; i < 3; i++) {
    collect()
    await new Promise(setImmediate)
  }
  const { heapUsed, external } = process.memoryUsage()
  return (heapUsed + external) / 2 ** 20
}

/** By how much the last third of the samples lies above the middle third, by their medians; the first third is warming up. */
export function growthMb(samples: readonly number[]): number {
  const third = Math.floor(samples.length / 3)
  return median(samples.slice(-third)) - median(samples.slice(third, -third))
}

/** Whether memory stays the same however long it goes on. */
export function isFlat(samples: readonly number[]): boolean {
  return growthMb(samples) < toleranceMb
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)]!
}
