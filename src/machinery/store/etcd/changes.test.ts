import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { EtcdEvent, KeyValue } from '../../etcd/messages.ts'
import { changesOf } from './changes.ts'
import { opened, sealed } from './envelope.ts'
import { EtcdKeys } from './keys.ts'

const keys = new EtcdKeys('/patchbay')

function kv(key: Buffer, modRevision: number, value: Buffer = Buffer.alloc(0)): KeyValue {
  return { key, modRevision, value }
}

const value = (id: string, object: unknown) => sealed({ id, text: JSON.stringify(object) })

describe('changes in events of etcd', () => {
  const a = keys.object('/a')
  const created: EtcdEvent = { type: 'put', kv: kv(a, 5, value('w1', { n: 1 })) }
  const [held] = [{ key: '/a', revision: 5, value: { n: 1 } }]
  const gone: EtcdEvent = { type: 'delete', kv: kv(a, 7), previous: kv(a, 5, value('w1', { n: 1 })) }
  const words = (text: string): EtcdEvent => ({ type: 'put', kv: kv(keys.last('/a'), 7, sealed({ id: 'w2', text })) })
  const foreign: string[] = []
  const read = (events: readonly EtcdEvent[]) => changesOf(events, { keys, onForeign: (key) => foreign.push(key) })

  it('have the identity of their write, and nothing of other programs', () => {
    const elsewhere: EtcdEvent = { type: 'put', kv: kv(Buffer.from('/registry/a'), 6, Buffer.from('x')) }
    const swept: EtcdEvent = { type: 'delete', kv: kv(keys.last('/a'), 8) }
    assert.deepEqual(read([created, elsewhere, swept]), [{ id: 'w1', bytes: 7, change: { type: 'put', row: held } }])
  })

  it('have the last words of a delete, or else what was there', () => {
    const last = read([words('{"n":3}'), gone])
    assert.deepEqual(last, [
      {
        id: 'w2',
        bytes: 7,
        change: { type: 'delete', row: { key: '/a', revision: 7, value: { n: 3 } }, previous: held },
      },
    ])
    const silent = read([words(''), gone])
    assert.deepEqual(silent[0]?.change.row.value, { n: 1 })
    assert.deepEqual([read([gone])[0]?.id, read([gone])[0]?.change.row.value], ['', { n: 1 }])
  })

  it('leave out a value that is no object, by its key', () => {
    assert.deepEqual(read([{ type: 'put', kv: kv(a, 9, Buffer.from('[1]')) }]), [])
    assert.deepEqual(foreign, ['/a'])
  })

  it('share what is in memory already', () => {
    const known = { ...held }
    const own = { n: 3 }
    const [change] = changesOf([words('{"n":3}'), gone], {
      keys,
      known: () => known,
      own: (id) => (id === 'w2' ? own : undefined),
      onForeign: () => assert.fail(),
    })
    assert.equal(change?.change.previous, known)
    assert.equal(change?.change.row.value, own)
  })
})

describe('keys in etcd', () => {
  it('are found again, and the objects have a range of their own', () => {
    assert.deepEqual(keys.meaning(keys.object('/core/pods/ä')), { is: 'object', key: '/core/pods/ä' })
    assert.deepEqual(keys.meaning(keys.last('/core/pods/a')), { is: 'last', key: '/core/pods/a' })
    assert.equal(keys.meaning(Buffer.from('/patchbay2/core')), undefined)
    assert.equal(keys.meaning(keys.compacted), undefined)
    const { key, end } = keys.objects
    for (const inside of [keys.object('/'), keys.object('/\u{10ffff}')])
      assert.ok(Buffer.compare(key, inside) <= 0 && Buffer.compare(inside, end ?? key) < 0)
    for (const outside of [
      keys.compacted,
      keys.missing,
      keys.last('/a'),
      Buffer.from('/patchbay0'),
      Buffer.from('/patchbay-2/a'),
    ])
      assert.ok(Buffer.compare(outside, key) < 0 || Buffer.compare(outside, end ?? key) >= 0, String(outside))
  })

  it('hold a value with lines in it', () => {
    const envelope = { id: 'w-1', text: '{"a":\n"ü"}' }
    assert.deepEqual(opened(sealed(envelope)), envelope)
    assert.deepEqual(opened(Buffer.from('{}')), { id: '', text: '{}' })
  })
})
