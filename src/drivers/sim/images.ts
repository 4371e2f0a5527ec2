import { Fault } from '#base/fault.ts'
import { sha256Hex } from '#base/sha256.ts'
import { delay } from '#base/wait.ts'
import type { DiskImages } from '#core/ports.ts'

/** Longer than any test, milliseconds. */
const longestMs = 2 ** 31 - 1

/**
 * Disk images of a simulated host: every one can be pulled, except one whose reference contains `missing`; one with `slow` never
 * arrives.
 */
export const simImages: DiskImages = {
  find: async () => undefined,
  pull: async ({ reference }, signal) => {
    if (reference.includes('missing')) throw new Fault('NotFound', `There is no image ${reference}`)
    if (reference.includes('slow')) await delay(longestMs, signal)
    return { digest: sha256Hex(reference), format: 'qcow2', virtualBytes: 2 ** 30 }
  },
}
