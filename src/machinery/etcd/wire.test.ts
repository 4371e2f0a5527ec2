import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { Frames, frame } from './frames.ts'
import { rangeRequest, txnRequest, watchAnswer, watchRequest } from './messages.ts'
import { Fields, message } from './wire.ts'

const hex = (bytes: Buffer) => bytes.toString('hex')

describe('messages of etcd', () => {
  it('are written as protobuf, without what a missing field means', () => {
    assert.equal(
      hex(message([1, 'a'], [2, 0], [3, 300], [4, true], [5, false], [6, ''], [7, undefined])),
      '0a016118ac022001',
    )
    assert.equal(hex(rangeRequest({ key: Buffer.from('k'), end: Buffer.from('l'), limit: 500 })), '0a016b12016c18f403')
    assert.equal(hex(watchRequest({ key: Buffer.of(0), end: Buffer.of(0) }, 7)), '0a0c0a010012010018073001400' + '1')
  })

  it('have every branch of a transaction, an expected revision of 0 by leaving it out', () => {
    const key = Buffer.from('k')
    const bytes = txnRequest({
      expect: [{ key, modRevision: 0 }],
      success: [{ put: key, value: Buffer.from('v') }, { remove: key }],
      failure: [{ range: key }],
    })
    const txn = new Fields(bytes)
    const [compare] = txn.all(1)
    assert.deepEqual(
      [new Fields(compare ?? Buffer.alloc(0)).int(2), new Fields(compare ?? Buffer.alloc(0)).text(3)],
      [2, 'k'],
    )
    assert.deepEqual(txn.all(2).map(hex), ['12060a016b120176', '1a030a016b'])
    assert.deepEqual(txn.all(3).map(hex), ['0a030a016b'])
  })

  it('are read as they were written, with fields of any wire type between', () => {
    const values = fc.record({ int: fc.maxSafeNat(), text: fc.string(), list: fc.array(fc.uint8Array()) })
    fc.assert(
      fc.property(values, ({ int, text, list }) => {
        // A fixed 64-bit number and a fixed 32-bit one, of which etcd has none that are wanted here.
        const others = Buffer.concat([
          Buffer.from('49', 'hex'),
          Buffer.alloc(8),
          Buffer.from('55', 'hex'),
          Buffer.alloc(4),
        ])
        const fields = new Fields(Buffer.concat([message([1, int]), others, message([2, text], [3, list])]))
        assert.deepEqual([fields.int(1), fields.text(2)], [int, text])
        assert.deepEqual(
          fields.all(3).map(hex),
          list.map((one) => hex(Buffer.from(one))),
        )
      }),
    )
  })

  it('that are cut short are an error, and not half a message', () => {
    const whole = message([1, 'four'], [3, 300])
    for (const length of [1, 3, 5, 7]) assert.throws(() => new Fields(whole.subarray(0, length)), /cut short/)
  })

  it('of a watch say what was replaced, and whether more follows', () => {
    const kv = message([1, 'k'], [3, 9], [5, 'new'])
    const event = message([1, 1], [2, kv], [3, message([1, 'k'], [3, 8], [5, 'old'])])
    const answer = watchAnswer(message([1, message([3, 9])], [7, true], [11, [event]]))
    assert.deepEqual([answer.revision, answer.isFragment, answer.canceled], [9, true, false])
    const [only] = answer.events
    assert.deepEqual(
      [only?.type, only?.kv.modRevision, only?.previous?.modRevision, String(only?.previous?.value)],
      ['delete', 9, 8, 'old'],
    )
  })
})

describe('frames of gRPC', () => {
  it('are put together again, however the stream was cut', () => {
    const cuts = fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1 })
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 20 })), cuts, (messages, sizes) => {
        const stream = Buffer.concat(messages.map(frame))
        const frames = new Frames()
        const seen: string[] = []
        for (let at = 0, i = 0; at < stream.length; i++) {
          const size = sizes[i % sizes.length] ?? 1
          seen.push(...frames.push(stream.subarray(at, at + size)).map(hex))
          at += size
        }
        assert.deepEqual(
          seen,
          messages.map((one) => hex(Buffer.from(one))),
        )
      }),
    )
  })
})
