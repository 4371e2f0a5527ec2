import { watch } from 'node:fs'
import { join } from 'node:path'
import { explain } from '#base/fault.ts'
import type { Log } from '#base/log.ts'
import { dhcpFolder, leaseSuffix } from '../dhcp/dnsmasq.ts'

/** Calls back whenever the guest of a sandbox has taken a DHCP lease. Returns a function that ends the watch. */
export function watchLeases(sandbox: string, onLease: () => void, log: Log): () => void {
  return watchFolder(dhcpFolder(sandbox), leaseSuffix, onLease, log)
}

/**
 * Calls back whenever libvirt has written a status file of a sandbox's guest. It is the only sign of a link that another client
 * changed: neither libvirt nor QEMU sends an event then. Returns a function that ends the watch.
 */
export function watchDomainFiles(sandbox: string, onChange: () => void, log: Log): () => void {
  return watchFolder(join(sandbox, 'run/libvirt/qemu'), '.xml', onChange, log)
}

/** Delay between the first write of a status file and the report, milliseconds: libvirt writes several times for a change. */
const restMs = 50

/**
 * Reports that libvirt has written a status file, unless the guest was observed since: most writes follow Patchbay's own changes,
 * and the next change must not wait for an observation without news. `seenMs` returns the time of the last observation.
 */
export function unlessSeen(seenMs: () => number, onChange: () => void): () => void {
  let isResting = false
  let lastMs = 0
  return () => {
    lastMs = performance.now()
    if (isResting) return
    isResting = true
    setTimeout(() => {
      isResting = false
      if (seenMs() < lastMs) onChange()
    }, restMs)
  }
}

function watchFolder(folder: string, suffix: string, onChange: () => void, log: Log): () => void {
  // Without the watch, changes are found by the next resync.
  const warn = (error: unknown) => log.warn({ folder, cause: explain(error) }, 'Cannot watch a folder of a sandbox')
  try {
    const watcher = watch(folder, { persistent: false }, (_event, file) => {
      if (file?.endsWith(suffix)) onChange()
    })
    watcher.on('error', warn)
    return () => watcher.close()
  } catch (error) {
    warn(error)
    return () => undefined
  }
}
