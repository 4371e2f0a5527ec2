import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { Member } from './member.ts'

test('a member that never gets to speak is given up, and nothing of its calls comes later', async (t) => {
  const sockets: Socket[] = []
  const server = createServer((socket) => sockets.push(socket)).listen(0, '127.0.0.1')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  // Over TLS a call waits for the handshake, over plain TCP for the settings.
  for (const scheme of ['https', 'http']) {
    const member = new Member(`${scheme}://127.0.0.1:${port}`)
    const call = () => member.call('/a', Buffer.of(), 30)
    const late = { kind: 'Unavailable', message: /did not answer within 30 ms$/ }
    await Promise.all([assert.rejects(call(), late), assert.rejects(call(), late)])
    const waiting = [member.call('/a', Buffer.of(), 5000), member.follow('/b', Buffer.of(), t.signal).next()]
    await setImmediate()
    // What a stream says once nobody reads it would end the process.
    member.drop()
    for (const one of waiting) await assert.rejects(one, { kind: 'Unavailable' })
    await setImmediate()
  }
})
