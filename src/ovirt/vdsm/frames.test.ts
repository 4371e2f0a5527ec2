import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Frame, FrameError, FrameReader, frameBytes } from './frames.ts'

const limits = { headerBytes: 256, bodyBytes: 64 }
const bytes = (text: string) => Buffer.from(text)
const read = (...pieces: readonly Buffer[]) => {
  const reader = new FrameReader(limits)
  return pieces.flatMap((piece) => reader.push(piece))
}
const shown = ({ command, headers, body }: Frame) => [command, Object.fromEntries(headers), body.toString()]
const refused = (text: string, message: RegExp) =>
  assert.throws(
    () => read(bytes(text)),
    (error) => error instanceof FrameError && message.test(error.message),
  )

/** The frames before the first refusal, and that. */
const outcome = (...pieces: readonly Buffer[]) => {
  const reader = new FrameReader(limits)
  const found: unknown[] = []
  try {
    for (const piece of pieces) found.push(...reader.push(piece).map(shown))
  } catch (error) {
    assert.ok(error instanceof FrameError, String(error))
    return { refused: error.message }
  }
  return { found, refused: undefined }
}

const stream = bytes(
  [
    '\n\r\nCONNECT\naccept-version:1.2\nhost:a\\b\n\n\0\n',
    'SEND\r\ndestination:a\\cb\r\ncontent-length:5\r\n\r\nä\0b\n\0\r\n\r\n',
    'SEND\ndestination:q\n\nuntil the end\0',
    'DISCONNECT\nreceipt:7\n\n\0\n',
  ].join(''),
)
const frames = [
  ['CONNECT', { 'accept-version': '1.2', host: 'a\\b' }, ''],
  ['SEND', { destination: 'a:b', 'content-length': '5' }, 'ä\0b\n'],
  ['SEND', { destination: 'q' }, 'until the end'],
  ['DISCONNECT', { receipt: '7' }, ''],
]

describe('frames of STOMP', () => {
  it('are read whole, with bodies of a given length and up to a NUL', () => {
    assert.deepEqual(read(stream).map(shown), frames)
  })

  it('are the same wherever the stream is cut, and byte by byte', () => {
    for (let at = 0; at <= stream.length; at++)
      assert.deepEqual(read(stream.subarray(0, at), stream.subarray(at)).map(shown), frames, `cut at ${at}`)
    assert.deepEqual(read(...Array.from(stream, (byte) => Buffer.of(byte))).map(shown), frames)
  })

  it('give the memory of what was read back', () => {
    const reader = new FrameReader({ headerBytes: 256, bodyBytes: 1_000_000 })
    const large = frameBytes('SEND', { destination: 'q' }, 'x'.repeat(900_000))
    reader.push(large.subarray(0, 500_000))
    assert.equal(reader.pendingBytes, 500_000)
    assert.equal(reader.push(large.subarray(500_000)).length, 1)
    assert.equal(reader.pendingBytes, 0)
    reader.push(bytes('SEND\n'))
    assert.equal(reader.pendingBytes, 5)
  })

  it('have headers of any text, and the first of several counts', () => {
    const text = 'a:b\\c\nd\re'
    const [frame] = read(frameBytes('MESSAGE', { [`x:${text}`]: text }, 'body'))
    assert.ok(frame)
    assert.deepEqual(shown(frame), ['MESSAGE', { [`x:${text}`]: text, 'content-length': '4' }, 'body'])
    assert.equal(frameBytes('MESSAGE', { a: ':' }).toString(), 'MESSAGE\na:\\c\n\n\0')
    assert.deepEqual(read(bytes('SEND\na:1\na:2\n\n\0')).map(shown), [['SEND', { a: '1' }, '']])
    assert.deepEqual(read(bytes('SEND\na:\nb:c:d\n\n\0')).map(shown), [['SEND', { a: '', b: 'c:d' }, '']])
  })

  it('are as large as they may be, and no larger', () => {
    const head = (size: number) => `SEND\na:${'x'.repeat(size - 9)}\n\n`
    assert.equal(read(bytes(`${head(256)}\0`)).length, 1)
    refused(`${head(257)}\0`, /^the headers of a frame have more than 256 bytes$/)
    refused('S'.repeat(257), /^the headers of a frame have more than 256 bytes$/)
    const tooLong = /^the body of a frame has more than 64 bytes$/
    assert.equal(read(bytes(`SEND\n\n${'x'.repeat(64)}\0`)).length, 1)
    refused(`SEND\n\n${'x'.repeat(65)}\0`, tooLong)
    refused(`SEND\n\n${'x'.repeat(65)}`, tooLong)
    assert.equal(read(bytes(`SEND\ncontent-length:64\n\n${'x'.repeat(64)}\0`)).length, 1)
    // Before any of it has come.
    refused('SEND\ncontent-length:65\n\n', tooLong)
    refused('SEND\ncontent-length:999999999999999\n\n', tooLong)
  })

  it('are read or refused, whatever bytes come', () => {
    const word = ['SEND', '\n', '\n\n', '\0', ':', '\r\n', 'content-length:3', '\\', 'a', 'ä', '\\c', 'CONNECT\n']
    let seed = 1
    const next = (below: number) => {
      seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31
      return Math.floor(seed / 65_536) % below
    }
    const ends = { read: 0, refused: 0 }
    for (let i = 0; i < 5_000; i++) {
      const text = Buffer.from(Array.from({ length: 1 + next(12) }, () => word[next(word.length)]).join(''))
      const at = next(text.length)
      const whole = outcome(text)
      assert.deepEqual(outcome(text.subarray(0, at), text.subarray(at)), whole, JSON.stringify(text.toString()))
      ends[whole.refused === undefined ? 'read' : 'refused']++
    }
    assert.ok(ends.read > 100 && ends.refused > 100, JSON.stringify(ends))
  })

  it('are refused when they are none', () => {
    refused('GET / HTTP/1.1\r\nhost: x\r\n\r\n', /does not begin with a command/)
    refused('\0', /ends before the empty line/)
    refused('SEND\ndestination:q\0', /ends before the empty line/)
    refused('SEND\ndestination\n\n\0', /has no name before a colon/)
    refused('SEND\n:q\n\n\0', /has no name before a colon/)
    refused('SEND\na:\\t\n\n\0', /backslash that escapes nothing/)
    refused('SEND\na:b\\\n\n\0', /backslash that escapes nothing/)
    refused('SEND\ncontent-length:-1\n\n\0', /content-length is not a number/)
    refused('SEND\ncontent-length:1\n\nab\0', /longer than its content-length/)
  })
})
