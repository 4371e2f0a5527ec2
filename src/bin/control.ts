import { once } from 'node:events'
import { chmod, rm } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { explain, Fault } from '#base/fault.ts'

/** Requests to a running server over the socket in its data directory, which only root can reach. */
export type ControlRequest = Readonly<{ backup: string }>

type ControlReply = Readonly<{ error?: string }>

/** Most characters of a request: one path. */
const maxRequest = 8192

/** Serves a socket only its owner may use. Returns what closes it. */
export async function openControl(
  path: string,
  run: (request: ControlRequest) => Promise<void>,
): Promise<() => Promise<void>> {
  // Left by a killed server: the store's lock is free.
  await rm(path, { force: true })
  const open = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    open.add(socket)
    socket.on('close', () => open.delete(socket))
    // A client that left does not wait for an answer.
    socket.on('error', () => socket.destroy())
    answer(socket, run).then(
      (reply) => socket.end(JSON.stringify(reply)),
      () => socket.destroy(),
    )
  })
  server.listen(path)
  await once(server, 'listening')
  await chmod(path, 0o600)
  return async () => {
    for (const socket of open) socket.destroy()
    server.close()
    await once(server, 'close')
  }
}

async function answer(socket: Socket, run: (request: ControlRequest) => Promise<void>): Promise<ControlReply> {
  let sent = ''
  for await (const part of socket.setEncoding('utf8')) {
    sent += part
    if (sent.length > maxRequest) throw new Fault('TooLarge', 'The request is too large')
  }
  try {
    await run(JSON.parse(sent))
    return {}
  } catch (error) {
    return { error: explain(error) }
  }
}

/** Sends a request to a directory's server. @throws Fault Unavailable with its answer */
export async function askServer(path: string, request: ControlRequest): Promise<void> {
  let reply: ControlReply
  try {
    const socket = connect({ path, allowHalfOpen: true })
    await once(socket, 'connect')
    socket.end(JSON.stringify(request))
    reply = JSON.parse(await text(socket))
  } catch (cause) {
    throw new Fault('Unavailable', `The server does not answer at ${path}`, { cause })
  }
  if (reply.error !== undefined) throw new Fault('Unavailable', reply.error)
}
