import { Node } from '#apis/core/node.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { apiVersionOf } from '#apis/meta/object.ts'
import { explain } from '#base/fault.ts'
import type { Log } from '#base/log.ts'
import { type ImageStock, type ImageThresholds, imageGarbage } from '#core/disk/image-stock.ts'
import { wantedImages } from '#core/disk/images.ts'
import type { DiskImages } from '#core/ports.ts'
import type { Recorder } from '#machinery/client/recorder.ts'
import { type Controller, runController } from '#machinery/loop/reconcile.ts'

type Options = Readonly<{
  nodeName: string
  stock: ImageStock
  diskImages: Pick<DiskImages, 'find'>
  thresholds: ImageThresholds
  /** The instances of this node. */
  instances: () => readonly VirtualMachineInstance[]
  /** Digests of the images that were pulled for sandboxes. */
  pulled: () => Iterable<string>
  recorder: Recorder
  log: Log
  everyMs: number
  signal: AbortSignal
}>

/** How often the room for images is looked at, milliseconds (kubelet's ImageGCPeriod). */
export const usualImageGarbageMs = 300_000

/** Removes images that nothing uses when their file system is too full. */
export function startImageGarbage(options: Options): Controller {
  const { nodeName, recorder, log, everyMs, signal } = options
  const node = { apiVersion: apiVersionOf(Node), kind: Node.kind, metadata: { name: nodeName, uid: nodeName } }
  const warn = (reason: string, message: string) => {
    log.warn({ reason, message }, 'Cannot remove images')
    recorder(node, 'Warning', reason, message)
  }
  const controller = runController({
    name: 'image-garbage',
    workers: 1,
    log,
    signal,
    reconcile: async () => {
      try {
        const shortage = await collect(options)
        if (shortage !== undefined) warn('FreeDiskSpaceFailed', shortage)
      } catch (error) {
        if (!signal.aborted) warn('ImageGCFailed', explain(error))
      }
      return { againAfterMs: everyMs }
    },
  })
  controller.enqueue('images')
  return controller
}

/** Resolves to a sentence when there is not enough to remove. */
async function collect(options: Options): Promise<string | undefined> {
  const { stock, thresholds, log, signal } = options
  const room = await stock.room()
  const [images, needed] = await Promise.all([stock.list(), neededBy(options)])
  const garbage = imageGarbage(images, room, { ...thresholds, needed, now: Date.now() })
  if (!garbage) return undefined
  let freed = 0
  for (const { digest, names, bytes } of garbage.images) {
    if (freed >= garbage.bytes) return undefined
    signal.throwIfAborted()
    log.info({ digest, names, bytes }, 'Removing an image that nothing uses')
    if (await stock.remove(digest)) freed += bytes
  }
  if (freed >= garbage.bytes) return undefined
  return `The disk of the images is ${garbage.usedPercent} % full. Attempted to free ${garbage.bytes} bytes, but only found ${freed} bytes eligible to free: the other images are in use, imported, or came within the last ${thresholds.minAgeMs / 1000} s; free some space there, or give it a larger disk`
}

/** The images of guests that run here or are about to. */
async function neededBy({ instances, pulled, diskImages }: Options): Promise<ReadonlySet<string>> {
  const needed = new Set(pulled())
  for (const { reference, path } of instances().flatMap(({ spec }) => wantedImages(spec))) {
    const found = await diskImages.find(reference, path)
    if (found) needed.add(found.digest)
  }
  return needed
}
