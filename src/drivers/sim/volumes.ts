import { Fault } from '#base/fault.ts'
import { delay } from '#base/wait.ts'
import type { VolumeContent, Volumes } from '#core/disk/ports.ts'

/** Time that no test waits, milliseconds. */
const longestMs = 2 ** 31 - 1

/**
 * The disks of claims on a simulated host. Every content is there at once, but of an image whose reference contains `missing`, `bad`
 * (which fails for good, also in what is uploaded), `slow` (which is half there for ever) or `flaky` (whose first try fails).
 */
export class SimVolumes implements Volumes {
  /** The disks that exist, by UID of the claim. */
  readonly disks = new Map<string, VolumeContent>()
  /** What was uploaded, by UID of the claim. */
  readonly uploads = new Map<string, string>()
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
    if (content.is === 'upload') {
      let text = ''
      for await (const chunk of content.upload.body) text += Buffer.from(chunk).toString()
      if (text.includes('bad')) throw new Fault('Invalid', 'The uploaded image is refused, as it requests')
      this.uploads.set(uid, text)
    }
    onProgress(0.5)
    if (reference.includes('slow')) await delay(longestMs, signal)
    this.disks.set(uid, content)
  }

  async discard(): Promise<void> {}

  async list(): Promise<readonly string[]> {
    return [...this.disks.keys()]
  }

  async remove(uid: string): Promise<void> {
    this.disks.delete(uid)
  }
}
