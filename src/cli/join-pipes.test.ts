import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { WebSocket, WebSocketServer } from 'ws'
import { joinPipes } from './forward.ts'

test('a program whose channel ends is not kept by an input that goes on', { timeout: 20_000 }, async (t) => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  t.after(() => server.close())
  await once(server, 'listening')
  server.on('connection', (socket) =>
    socket.once('message', () => {
      socket.send('last words')
      socket.close(1001)
    }),
  )
  const channel = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`)
  await once(channel, 'open')
  const [input, output] = [new PassThrough(), new PassThrough()]
  const said = text(output)
  input.write('and then?')
  await joinPipes(channel, input, output)
  output.end()
  assert.equal(await said, 'last words')
})
