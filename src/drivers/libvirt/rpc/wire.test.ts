import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { encodeFrame, type Frame, FrameReader, maxMessageBytes } from './wire.ts'

const header = { program: 0x20008086, procedure: 66, type: 0, serial: 9, status: 0 }

describe('frames', () => {
  it('are a length, six words and a body', () => {
    const bytes = encodeFrame(header, Buffer.from('abcd'))
    assert.equal(bytes.toString('hex'), '0000002020008086000000010000004200000000000000090000000061626364')
  })

  it('come out as they went in, however they were cut', () => {
    const frames = fc.array(fc.uint8Array({ maxLength: 100 }), { maxLength: 8 })
    fc.assert(
      fc.property(frames, fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }), (bodies, cuts) => {
        const sent = Buffer.concat(bodies.map((body, serial) => encodeFrame({ ...header, serial }, body)))
        const reader = new FrameReader()
        const got: Frame[] = []
        for (let at = 0, i = 0; at < sent.length; i += 1) {
          const size = cuts[i % cuts.length] ?? 1
          got.push(...reader.push(sent.subarray(at, at + size)))
          at += size
        }
        assert.deepEqual(
          got.map(({ body }) => [...body]),
          bodies.map((body) => [...body]),
        )
        assert.deepEqual(
          got.map((frame) => frame.header.serial),
          bodies.map((_, serial) => serial),
        )
      }),
    )
  })

  it('refuse a length that cannot be', () => {
    for (const length of [0, 27, maxMessageBytes + 1, 0xffffffff]) {
      const bytes = Buffer.alloc(28)
      bytes.writeUInt32BE(length)
      assert.throws(() => new FrameReader().push(bytes), { kind: 'Unavailable' })
    }
  })

  it('refuse another version of the protocol', () => {
    const bytes = encodeFrame(header, Buffer.alloc(0))
    bytes.writeUInt32BE(2, 8)
    assert.throws(() => new FrameReader().push(bytes), { kind: 'Unavailable' })
  })
})
