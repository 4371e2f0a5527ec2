import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { delimiter, join as joinPath } from 'node:path'
import { exists } from '#base/file.ts'
import { join, listen } from './forward.ts'
import { protocol, type StreamContext } from './streams.ts'
import { pathOf } from './virtctl.ts'

export type VncOptions = Readonly<{
  proxyOnly: boolean
  address: string
  port: number
  preserveSession: boolean
  signal: AbortSignal
  /** Where programs are looked for (PATH). */
  path: string
}>

/** Viewers, in the order they are looked for, with the arguments for an address. */
const viewers: readonly (readonly [program: string, args: (address: string, port: number) => string[]])[] = [
  ['remote-viewer', (address, port) => [`vnc://${address}:${port}`]],
  ['vncviewer', (address, port) => [`${address}::${port}`]],
]

/**
 * Serves the screen of an instance on a local port to one viewer, which is started if one is installed. Ends with the viewer.
 * @throws Fault as the server refuses
 */
export async function showScreen(context: StreamContext, name: string, options: VncOptions): Promise<void> {
  const { channels, namespace, print } = context
  const { proxyOnly, address, preserveSession, signal } = options
  const query = preserveSession ? '?preserveSession=true' : ''
  const path = `${pathOf(namespace, 'virtualmachineinstances', name, 'vnc')}${query}`
  // A refusal is said before a viewer is started.
  const channel = await channels.open(path, protocol, signal)
  const server = createServer({ pauseOnConnect: true })
  const connected = new Promise<Socket>((resolve, reject) => {
    server.once('connection', resolve)
    signal.addEventListener('abort', reject, { once: true })
  })
  connected.catch(() => undefined)
  try {
    const port = await listen(server, { address, local: options.port })
    const viewer = proxyOnly ? undefined : await startViewer(options, port)
    if (proxyOnly) print.line(JSON.stringify({ port }))
    else if (!viewer) print.line(`Connect a VNC viewer to ${address}:${port}; none is installed here`)
    const socket = await connected
    socket.on('error', () => socket.destroy())
    join(channel, socket)
    const stop = () => socket.destroy()
    signal.addEventListener('abort', stop, { once: true })
    await once(socket, 'close')
    signal.removeEventListener('abort', stop)
  } catch (error) {
    if (!signal.aborted) throw error
  } finally {
    channel.terminate()
    server.close()
  }
}

async function startViewer({ path, address }: VncOptions, port: number): Promise<true | undefined> {
  for (const [program, argsFor] of viewers)
    for (const folder of path.split(delimiter).filter(Boolean)) {
      const file = joinPath(folder, program)
      if (!(await exists(file))) continue
      spawn(file, argsFor(address, port), { stdio: 'ignore', detached: true }).unref()
      return true
    }
  return undefined
}

/** Writes a picture of the screen of an instance to a file, or to the output (`-`). */
export async function saveScreenshot(
  { channels, namespace }: StreamContext,
  name: string,
  file: string,
  output: NodeJS.WritableStream,
): Promise<void> {
  const picture = await channels.download(pathOf(namespace, 'virtualmachineinstances', name, 'vnc/screenshot'))
  if (file === '-') await new Promise<void>((resolve) => output.write(picture, () => resolve()))
  else await writeFile(file, picture)
}
