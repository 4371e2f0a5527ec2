import { Fault } from '#base/fault.ts'
import { delay } from '#base/wait.ts'
import type { VolumeContent, Volumes } from '#core/disk/ports.ts'

/** Time that no test waits, milliseconds. */
const longestMs = 2 ** 31 - 1

/**
 * The disks of claims on a simulated host. Every content is there at once, but of an image whose reference contains `missing`, `bad`
 * (which fails for good), `slow` (which is half there for ever) or `flaky` (whose first try fails).
 */
export class SimVolumes implements Volumes {
  /** The disks that exist, by UID of the claim. */
  readonly disks = new Map<string, VolumeContent>()
  readonly #tries = new Map<string, number>()

  async has(uid: string): Promise<boolean> {
    return this.disks.has(uid)
  }

  async populate(
    uid: string,
    _bytes: number,
    content: VolumeContent,
    { onProgress, signal }: Parameters<Volumes['populate']>[3],
  ): Promise<void> {
    const reference = content.is === 'image' ? content.pull.reference : ''
    const tries = (this.#tries.get(uid) ?? 0) + 1
    this.#tries.set(uid, tries)
    if (reference.includes('missing')) throw new Fault('NotFound', `There is no image ${reference}`)
    if (reference.includes('bad')) throw new Fault('Invalid', `${reference} has the checksum 0 and should have 1`)
    if (reference.includes('flaky') && tries === 1) throw new Fault('Unavailable', `${reference} does not answer`)
    onProgress(0.5)
    if (reference.includes('slow')) await delay(longestMs, signal)
    this.disks.set(uid, content)
  }

  async list(): Promise<readonly string[]> {
    return [...this.disks.keys()]
  }

  async remove(uid: string): Promise<void> {
    this.disks.delete(uid)
  }
}
