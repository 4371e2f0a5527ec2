import type { Log } from '#base/log.ts'
import { ensureCgroups, sandboxMaxBytes } from '../libvirt/daemon/cgroup.ts'

/** Holds the processes of sandboxes to the memory of their pods. */
export class MemoryLimits {
  readonly #log: Log
  #isReported = false

  constructor(log: Log) {
    this.#log = log
  }

  /** `podBytes` is what the pod is limited to. A host that does not let us is told of once. */
  async hold(dir: string, podBytes: number): Promise<void> {
    const left = await ensureCgroups(dir, sandboxMaxBytes(podBytes))
    if (!left.length || this.#isReported) return
    this.#isReported = true
    this.#log.warn({ left }, 'Running sandboxes without cgroup limits, which this host does not let us set')
  }
}
