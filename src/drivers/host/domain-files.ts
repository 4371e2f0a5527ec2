import { watch } from 'node:fs'
import { join } from 'node:path'
import { explain } from '#base/fault.ts'
import type { Log } from '#base/log.ts'
import { dhcpFolder, leaseSuffix } from '../dhcp/dnsmasq.ts'

/** Calls back whenever the guest of a sandbox has taken an address of ours. Returns what ends it. */
export function watchLeases(sandbox: string, onLease: () => void, log: Log): () => void {
  return watchFolder(dhcpFolder(sandbox), leaseSuffix, onLease, log)
}

/**
 * Calls back whenever libvirt has written down a new state of a sandbox's guest. It is the only sign there is that somebody
 * else changed a link: neither libvirt nor QEMU sends an event then. Returns what ends it.
 */
export function watchDomainFiles(sandbox: string, onChange: () => void, log: Log): () => void {
  return watchFolder(join(sandbox, 'run/libvirt/qemu'), '.xml', onChange, log)
}

/** How long libvirt's files rest before what they say is looked at, milliseconds. */
const restMs = 50

/**
 * Passes on that libvirt has written down a new state, unless the guest was looked at since: most of what libvirt writes comes
 * of our own changes, and the next change must not wait for a look that shows nothing new. `seenMs` says when the last look was.
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
  // Without it, what is missed is seen at the next look at everything.
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
