import type { Node } from '#apis/core/node.ts'

/** A disk image that a host keeps. */
export type KeptImage = Readonly<{
  /** SHA-256 of its file, hexadecimal. */
  digest: string
  /** What it may be called in public, first with digests. */
  names: readonly string[]
  /** Room that its file takes. */
  bytes: number
  /** When it came, and when it was used last; milliseconds since 1970. */
  created: number
  lastUsed: number
  /** Whether a sandbox has it. */
  isUsed: boolean
  /** Whether nothing could get it again. */
  isImported: boolean
}>

/** The room of the file system with the images, bytes. */
export type ImageRoom = Readonly<{ capacity: number; available: number }>

/** The disk images that a host keeps. */
export interface ImageStock {
  list(): Promise<readonly KeptImage[]>
  room(): Promise<ImageRoom>
  /** Removes an image and its names, unless a sandbox has it now; resolves to whether it is gone. */
  remove(digest: string): Promise<boolean>
}

/** When images are removed: kubelet's options `imageGCHighThresholdPercent`, `imageGCLowThresholdPercent` and `imageMinimumGCAge`. */
export type ImageThresholds = Readonly<{ highPercent: number; lowPercent: number; minAgeMs: number }>

/** The defaults of kubelet. */
export const usualThresholds: ImageThresholds = { highPercent: 85, lowPercent: 80, minAgeMs: 120_000 }

/** Most images in the status of a node, and most names of each (kubelet). */
const maxNodeImages = 50
const maxNames = 5

/** The images as the status of a node has them: the largest ones. */
export function nodeImages(images: readonly KeptImage[]): NonNullable<NonNullable<Node['status']>['images']> {
  return images
    .filter(({ names }) => names.length)
    .toSorted((a, b) => b.bytes - a.bytes || (a.digest < b.digest ? -1 : 1))
    .slice(0, maxNodeImages)
    .map(({ names, bytes }) => ({ names: names.slice(0, maxNames), sizeBytes: bytes }))
}

/** How many bytes are to be freed, and the images that may go for that, in this order; undefined while there is room. */
export type Garbage = Readonly<{ usedPercent: number; bytes: number; images: readonly KeptImage[] }> | undefined

/**
 * What is to be removed when the file system is fuller than the high threshold: images that nothing uses, the least recently used
 * first, until it is as full as the low one. `needed` are those that instances or imports are about to use.
 */
export function imageGarbage(
  images: readonly KeptImage[],
  { capacity, available }: ImageRoom,
  how: ImageThresholds & Readonly<{ needed: ReadonlySet<string>; now: number }>,
): Garbage {
  const { highPercent, lowPercent, minAgeMs, needed, now } = how
  const usedPercent = 100 - Math.floor((available * 100) / capacity)
  if (!(capacity > 0) || highPercent >= 100 || usedPercent < highPercent) return undefined
  const isOld = (time: number) => now - time >= minAgeMs
  return {
    usedPercent,
    bytes: Math.ceil((capacity * (100 - lowPercent)) / 100 - available),
    images: images
      .filter(({ isUsed, isImported, digest }) => !isUsed && !isImported && !needed.has(digest))
      // One that was used just now may be on its way into a sandbox.
      .filter(({ created, lastUsed }) => isOld(created) && isOld(lastUsed))
      .toSorted((a, b) => a.lastUsed - b.lastUsed || a.created - b.created),
  }
}
