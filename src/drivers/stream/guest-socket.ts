import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { Fault, systemCode } from '#base/fault.ts'
import { delay } from '#base/wait.ts'
import { connected, dialMs } from './dial.ts'

/** Time until the next try while others wait for QEMU, milliseconds. */
const againMs = 20

/** From <fcntl.h>: only names a file, so that sockets can be opened too. */
const pathOnly = 0o10_000_000

/**
 * Connects to a socket that QEMU has made in a folder of its own. A QEMU that was taken over could put something else there, and
 * Patchbay connects as root: so the file is held first, must be a socket of QEMU's user, and is connected to as that very file.
 * @throws Fault NotFound when there is no socket, Unavailable
 */
export async function connectGuestSocket(
  path: string,
  { user, what, signal }: Readonly<{ user: number; what: string; signal: AbortSignal }>,
): Promise<Socket> {
  await using held = await hold(path, what)
  const stat = await held.stat()
  if (!stat.isSocket() || stat.uid !== user)
    throw new Fault('Unavailable', `${path} is no socket of the guest’s user; restart the guest`)
  const end = performance.now() + dialMs
  for (;;)
    try {
      return await connected(connect({ path: `/proc/self/fd/${held.fd}` }), what, signal)
    } catch (error) {
      // QEMU lets one wait at a time, and the kernel refuses the others at once.
      if (systemCode((error as Fault).cause) !== 'EAGAIN' || performance.now() > end) throw error
      await delay(againMs, signal)
    }
}

async function hold(path: string, what: string): Promise<FileHandle> {
  try {
    return await open(path, pathOnly | constants.O_NOFOLLOW)
  } catch (cause) {
    if (systemCode(cause) === 'ENOENT') throw new Fault('NotFound', `The guest has no ${what}`, { cause })
    throw new Fault('Unavailable', `Cannot open ${path}`, { cause })
  }
}
