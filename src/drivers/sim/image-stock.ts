import type { ImageRoom, ImageStock, KeptImage } from '#core/disk/image-stock.ts'

/** The disk images of a simulated host. Their file system is as large as `capacity`, and has nothing else on it. */
export class SimImageStock implements ImageStock {
  capacity = 2 ** 50
  images: readonly KeptImage[] = []

  async list(): Promise<readonly KeptImage[]> {
    return this.images
  }

  async room(): Promise<ImageRoom> {
    const used = this.images.reduce((sum, { bytes }) => sum + bytes, 0)
    return { capacity: this.capacity, available: this.capacity - used }
  }

  async remove(digest: string): Promise<boolean> {
    this.images = this.images.filter((one) => one.digest !== digest)
    return true
  }
}
