import { createSocket } from 'node:dgram'

/**
 * A DHCP client for tests: asks once, on the only network of its namespace, and writes the options of the offer as JSON, by
 * code, in hexadecimal. Run as a process of its own: `client-kit.ts MAC CODE...`.
 */
function discover(mac: string, codes: readonly number[]): Buffer {
  const head = Buffer.alloc(240)
  head.set([1, 1, 6, 0, 0x12, 0x34, 0x56, 0x78])
  // The answer is to be broadcast: there is no address to send it to.
  head.writeUInt16BE(0x8000, 10)
  head.write(mac.replaceAll(':', ''), 28, 'hex')
  head.write('63825363', 236, 'hex')
  const size = [57, 2, 1500 >> 8, 1500 & 255]
  const asked = codes.length ? [55, codes.length, ...codes] : []
  return Buffer.concat([head, Buffer.from([53, 1, 1, ...size, ...asked, 255])])
}

function optionsOf(packet: Buffer): Record<string, string> {
  const found: Record<string, string> = {}
  for (let at = 240; at < packet.length && packet[at] !== 255; ) {
    if (packet[at] === 0) {
      at += 1
      continue
    }
    const length = packet[at + 1]!
    found[packet[at]!] = packet.subarray(at + 2, at + 2 + length).toString('hex')
    at += 2 + length
  }
  return found
}

const [mac = '', ...codes] = process.argv.slice(2)
const socket = createSocket('udp4')
socket.on('message', (packet) => {
  process.stdout.write(JSON.stringify(optionsOf(packet)))
  socket.close()
})
socket.bind(68, () => {
  socket.setBroadcast(true)
  socket.send(discover(mac, codes.map(Number)), 67, '255.255.255.255')
})
