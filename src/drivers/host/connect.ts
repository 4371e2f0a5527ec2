import type { Log } from '#base/log.ts'
import { socketPath } from '../libvirt/daemon/daemon.ts'
import { type Libvirt, openLibvirt } from '../libvirt/rpc/libvirt.ts'
import { unlessSeen, watchDomainFiles, watchLeases } from './domain-files.ts'

/** Timeout of calls to libvirtd that do not involve QEMU, milliseconds. */
const callTimeoutMs = 15_000

type Watching = Readonly<{
  log: Log
  /** When the guest was last observed, milliseconds of the monotonic clock. */
  observedMs: () => number
  /** Called whenever something in the sandbox may have changed; `isNetwork` when its guest has taken an address. */
  emit: (isNetwork?: boolean) => void
}>

/**
 * Connects to the libvirtd of a sandbox, and reports changes of its guest by libvirt's events, status files and leases while the
 * connection lasts.
 */
export async function connectWatched(dir: string, { log, observedMs, emit }: Watching): Promise<Libvirt> {
  const libvirt = await openLibvirt({ socketPath: socketPath(dir), log, callTimeoutMs })
  libvirt.onEvent((event) => {
    if (event.type !== 'metadataChange' && event.type !== 'migrationIteration') emit()
  })
  const seen = unlessSeen(observedMs, () => emit())
  const unwatch = [watchDomainFiles(dir, seen, log), watchLeases(dir, () => emit(true), log)]
  void libvirt.closed.then(() => {
    for (const end of unwatch) end()
  })
  return libvirt
}
