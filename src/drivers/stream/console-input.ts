import { constants, openSync } from 'node:fs'
import { Socket } from 'node:net'
import { Fault, systemCode } from '#base/fault.ts'

/**
 * Types at a guest's serial console: QEMU reads the pipe `path`. A guest that reads nothing lets its own writer wait, and no
 * other. What is typed while no QEMU has the pipe open goes nowhere, as at an unplugged keyboard.
 */
export function consoleInput(path: string, signal: AbortSignal): WritableStream<Uint8Array> {
  let pipe: Socket | undefined
  const close = () => {
    pipe?.destroy()
    pipe = undefined
  }
  signal.addEventListener('abort', close, { once: true })
  const done = () => {
    signal.removeEventListener('abort', close)
    close()
  }
  const write = async (bytes: Uint8Array) => {
    if (signal.aborted) return
    pipe ??= openPipe(path)
    if (pipe) await written(pipe, bytes)
  }
  return new WritableStream<Uint8Array>({
    write: async (bytes) => {
      try {
        await write(bytes)
      } catch (error) {
        if (signal.aborted) return
        // QEMU may have been started again, and the pipe made again with it.
        close()
        if (systemCode(error) !== 'EPIPE') throw error
        await write(bytes)
      }
    },
    close: done,
    abort: done,
  })
}

/** Undefined when no process reads the pipe. */
function openPipe(path: string): Socket | undefined {
  try {
    const flags = constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW
    const pipe = new Socket({ fd: openSync(path, flags), readable: false, writable: true })
    // Each write has it too.
    pipe.on('error', () => undefined)
    return pipe
  } catch (cause) {
    const code = systemCode(cause)
    if (code === 'ENXIO') return undefined
    if (code === 'ENOENT') throw new Fault('NotFound', 'The guest has no serial console', { cause })
    throw new Fault('Unavailable', `Cannot open ${path} to type at the guest`, { cause })
  }
}

function written(pipe: Socket, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    const gone = () => reject(new Fault('Aborted', 'The guest’s console was closed'))
    pipe.once('close', gone)
    pipe.write(bytes, (error) => {
      pipe.off('close', gone)
      if (error) reject(error)
      else resolve()
    })
  })
}
