import { watch } from 'node:fs'
import { join } from 'node:path'
import { explain } from '#base/fault.ts'
import type { Log } from '#base/log.ts'

/**
 * Calls back whenever libvirt has written down a new state of a sandbox's guest. It is the only sign there is that somebody
 * else changed a link: neither libvirt nor QEMU sends an event then. Returns what ends it.
 */
export function watchDomainFiles(sandbox: string, onChange: () => void, log: Log): () => void {
  const folder = join(sandbox, 'run/libvirt/qemu')
  try {
    const watcher = watch(folder, { persistent: false }, (_event, file) => {
      if (file?.endsWith('.xml')) onChange()
    })
    watcher.on('error', (error) => log.warn({ folder, cause: explain(error) }, 'Cannot watch the state of a guest'))
    return () => watcher.close()
  } catch (error) {
    // Changes by others are then seen at the next look at everything.
    log.warn({ folder, cause: explain(error) }, 'Cannot watch the state of a guest')
    return () => undefined
  }
}
