import { collector } from '#base/idle-collector.ts'

/** Growth that is not held against anybody, MB: what compiled code and caches of fixed size may still come to. */
const toleranceMb = 6

const collect = collector()

/** What is really held in memory now, MB. */
export async function heldMb(): Promise<number> {
  // What the first time lets go of (connections, buffers) is only free after the event loop has told those concerned.
  for (let i = 0; i < 3; i++) {
    collect({ type: 'major', flavor: 'regular' })
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
