import type { AddressInfo } from 'node:net'
import { createServer, type TLSSocket } from 'node:tls'
import { Connections, type ConnectionUse } from './connections.ts'
import type { Capacity } from './exchange.ts'
import { Contexts, capacityOf, type Listener, type ListenerOptions, listening } from './listener.ts'

/** A connection whose client has shown a certificate of the client authority. */
export type StreamConnection = Readonly<{
  socket: TLSSocket
  /** Something is done over the connection, which is idle otherwise. */
  begin(): ConnectionUse
  capacity: Capacity
}>

/**
 * Serves a protocol of its own over TLS, within the limits of connections and of idle time. Clients without a certificate of the
 * client authority do not get past the handshake, so the server shows them its certificate of the same authority, never an
 * operator's. @throws Fault Unavailable when it cannot listen
 */
export async function openStreamListener(
  { listen, tls, limits, log, option = '--listen' }: ListenerOptions,
  serve: (connection: StreamConnection) => void,
): Promise<Listener> {
  const contexts = new Contexts(tls)
  const connections = new Connections(limits, log)
  const capacity = capacityOf(limits)
  const server = createServer({
    ...contexts.ours,
    requestCert: true,
    rejectUnauthorized: true,
    handshakeTimeout: limits.headerTimeoutMs,
  })
  server.maxConnections = connections.hardLimit
  server.on('connection', (socket) => connections.add(socket))
  // A handshake that fails ends its connection only.
  server.on('tlsClientError', () => undefined)
  server.on('drop', () => log.warn({ connections: limits.connections }, 'Dropping a connection: too many are open'))
  server.on('secureConnection', (socket: TLSSocket) => {
    connections.secured(socket)
    socket.on('error', () => socket.destroy())
    const begin = () => connections.begin(socket)
    // Idle until it does something.
    begin().ended()
    serve({ socket, begin, capacity })
  })
  await listening(server, listen, option)
  const { port } = server.address() as AddressInfo
  return {
    port,
    renew: (renewed) => {
      contexts.use(renewed)
      server.setSecureContext(contexts.ours)
    },
    close: () => {
      connections.closeAll()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}
