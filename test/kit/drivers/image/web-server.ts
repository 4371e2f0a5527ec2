import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { TestContext } from 'node:test'

/** A web server of a test, and what it was asked for. */
export type WebServer = Readonly<{ host: string; url: (path: string) => URL; seen: readonly IncomingMessage[] }>

type Answerer = (request: IncomingMessage, response: ServerResponse) => void

/** A server on loopback that answers each path as the test says, and 404 elsewhere; it ends with the test. */
export async function webServer(t: TestContext, answers: Readonly<Record<string, Answerer>>): Promise<WebServer> {
  const seen: IncomingMessage[] = []
  const server = createServer((request, response) => {
    seen.push(request)
    const answer = answers[new URL(request.url ?? '/', 'http://x').pathname]
    if (answer) answer(request, response)
    else response.writeHead(404).end()
  })
  server.listen(0, '127.0.0.1')
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('A server has no port')
  const host = `127.0.0.1:${address.port}`
  return { host, url: (path) => new URL(`http://${host}${path}`), seen }
}

/** Where a request wants to begin. */
export function rangeStart({ headers }: IncomingMessage): number {
  return Number(/^bytes=(\d+)-$/.exec(headers.range ?? '')?.[1] ?? 0)
}

/** Sends a file as a server does that knows ranges; `cut` is how many bytes it sends before it breaks off. */
export function sendRange(
  request: IncomingMessage,
  response: ServerResponse,
  file: Buffer,
  { cut, etag }: Readonly<{ cut?: number; etag?: string }> = {},
): void {
  const isSame = request.headers['if-range'] === undefined || request.headers['if-range'] === etag
  const start = isSame ? rangeStart(request) : 0
  const rest = file.subarray(start)
  response.writeHead(start > 0 ? 206 : 200, {
    'content-length': rest.length,
    ...(start > 0 && { 'content-range': `bytes ${start}-${file.length - 1}/${file.length}` }),
    ...(etag !== undefined && { etag }),
  })
  if (cut === undefined || cut >= rest.length) response.end(rest)
  else response.write(rest.subarray(0, cut), () => setImmediate(() => response.destroy()))
}
