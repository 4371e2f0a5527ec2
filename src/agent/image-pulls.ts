import type { DiskImage } from '#core/ports.ts'

/** A pull that runs, or what it has brought. */
type Pull = { image?: DiskImage }

/** The images that this process pulls for sandboxes, by UID of the pod and volume: each volume gets one image for all its life. */
export class ImagePulls {
  readonly #pulls = new Map<string, Map<string, Pull>>()

  /** Runs a pull, and calls `onEnd` when it has ended: with the cause if it failed. */
  start(
    uid: string,
    volume: string,
    work: () => Promise<DiskImage>,
    onEnd: (ended: Readonly<{ cause?: unknown }>) => void,
  ): void {
    const all = this.#pulls.get(uid) ?? new Map<string, Pull>()
    this.#pulls.set(uid, all)
    const pull: Pull = {}
    all.set(volume, pull)
    work().then(
      (image) => {
        pull.image = image
        onEnd({})
      },
      (cause: unknown) => {
        all.delete(volume)
        onEnd({ cause })
      },
    )
  }

  /** The images that were pulled for a sandbox, by volume. */
  images(uid: string): ReadonlyMap<string, DiskImage> {
    const all = [...(this.#pulls.get(uid) ?? [])]
    return new Map(all.flatMap(([volume, { image }]) => (image ? [[volume, image]] : [])))
  }

  /** The volumes of a sandbox whose images are being pulled. */
  pending(uid: string): ReadonlySet<string> {
    const all = [...(this.#pulls.get(uid) ?? [])]
    return new Set(all.flatMap(([volume, { image }]) => (image ? [] : [volume])))
  }

  /** The images that were pulled for any sandbox. */
  digests(): string[] {
    return [...this.#pulls.keys()].flatMap((uid) => [...this.images(uid).values()].map(({ digest }) => digest))
  }

  /** Forgets a sandbox. A pull that runs goes on, for others may wait for it. */
  forget(uid: string): void {
    this.#pulls.delete(uid)
  }
}
