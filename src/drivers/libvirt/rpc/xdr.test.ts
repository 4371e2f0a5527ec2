import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { Fault } from '#base/fault.ts'
import {
  bool,
  type Codec,
  double,
  hyper,
  int,
  list,
  optional,
  parameters,
  string,
  struct,
  uhyper,
  uint,
  uuid,
} from './codec.ts'
import { domain } from './procedures.ts'
import { XdrReader, XdrWriter } from './xdr.ts'

function written<T>(codec: Codec<T>, value: T): Buffer {
  const out = new XdrWriter()
  codec.write(out, value)
  return out.bytes()
}

function roundTrips<T>(codec: Codec<T>, values: fc.Arbitrary<T>): void {
  fc.assert(
    fc.property(values, (value) => {
      const bytes = written(codec, value)
      assert.equal(bytes.length % 4, 0)
      const from = new XdrReader(bytes)
      assert.deepEqual(codec.read(from), value)
      assert.equal(from.remaining, 0)
    }),
  )
}

describe('XDR', () => {
  it('writes what RFC 4506 says', () => {
    assert.equal(written(string, 'abcde').toString('hex'), '000000056162636465000000')
    assert.equal(written(int, -2).toString('hex'), 'fffffffe')
    assert.equal(written(uhyper, 2 ** 32 + 1).toString('hex'), '0000000100000001')
    assert.equal(written(optional(int), undefined).toString('hex'), '00000000')
    assert.equal(written(optional(int), 7).toString('hex'), '0000000100000007')
    assert.equal(written(list(bool), [true, false]).toString('hex'), '000000020000000100000000')
  })

  it('writes a domain as libvirt does: name, 16 bytes, id', () => {
    const value = { name: 'ab', uuid: '00112233-4455-6677-8899-aabbccddeeff', id: -1 }
    assert.equal(
      written(domain, value).toString('hex'),
      '0000000261620000' + '00112233445566778899aabbccddeeff' + 'ffffffff',
    )
  })

  it('reads back every value it writes', () => {
    roundTrips(int, fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }))
    roundTrips(uint, fc.nat(2 ** 32 - 1))
    roundTrips(hyper, fc.maxSafeInteger())
    roundTrips(uhyper, fc.nat(Number.MAX_SAFE_INTEGER))
    roundTrips(double, fc.double({ noNaN: true }))
    roundTrips(string, fc.string({ unit: 'grapheme' }))
    roundTrips(uuid, fc.uuid())
    const item = fc.record(
      { a: fc.option(fc.string(), { nil: undefined }), b: fc.array(fc.nat()) },
      { noNullPrototype: true },
    )
    roundTrips(list(struct({ a: optional(string), b: list(uint) })), fc.array(item))
    const value = fc.oneof(fc.nat(Number.MAX_SAFE_INTEGER), fc.boolean(), fc.string())
    roundTrips(
      parameters,
      fc.dictionary(fc.string(), value).map((record) => ({ ...record })),
    )
  })

  it('reads every type of parameter', () => {
    const out = new XdrWriter()
    out.uint(4)
    for (const [name, type] of [
      ['i', 1],
      ['u', 2],
      ['h', 3],
      ['d', 5],
    ] as const) {
      out.string(name)
      out.int(type)
      if (type === 5) out.double(1.5)
      else if (type === 3) out.hyper(-5)
      else out.int(3)
    }
    assert.deepEqual(parameters.read(new XdrReader(out.bytes())), { i: 3, u: 3, h: -5, d: 1.5 })
  })

  it('refuses any cut or random body with a Fault, and never reads on', () => {
    const body = written(list(domain), [{ name: 'vm', uuid: '00112233-4455-6677-8899-aabbccddeeff', id: 3 }])
    for (let size = 0; size < body.length; size += 1) {
      assert.throws(() => list(domain).read(new XdrReader(body.subarray(0, size))), isUnavailable)
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          list(struct({ domain, parameters })).read(new XdrReader(Buffer.from(bytes)))
        } catch (error) {
          assert.ok(isUnavailable(error))
        }
      }),
    )
  })

  it('believes no length beyond the message', () => {
    assert.throws(() => string.read(new XdrReader(Buffer.from('7fffffff61616161', 'hex'))), isUnavailable)
    assert.throws(() => list(int).read(new XdrReader(Buffer.from('ffffffff', 'hex'))), isUnavailable)
  })
})

function isUnavailable(error: unknown): boolean {
  return error instanceof Fault && error.kind === 'Unavailable'
}
