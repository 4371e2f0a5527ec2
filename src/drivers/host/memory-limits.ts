import type { Log } from '#base/log.ts'
import { ensureCgroups, sandboxMaxBytes } from '../libvirt/daemon/cgroup.ts'

/** Limits the memory of sandboxes to that of their pods. */
export class MemoryLimits {
  readonly #log: Log
  #isReported = false

  constructor(log: Log) {
    this.#log = log
  }

  /** `podBytes` is the memory limit of the pod. A host without usable cgroups is reported once. */
  async hold(dir: string, podBytes: number): Promise<void> {
    const left = await ensureCgroups(dir, sandboxMaxBytes(podBytes))
    if (!left.length || this.#isReported) return
    this.#isReported = true
    this.#log.warn({ left }, 'Running sandboxes without cgroup limits, which this host does not permit')
  }
}
