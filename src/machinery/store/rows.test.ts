import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { bucketOf, Rows } from './rows.ts'

describe('Rows', () => {
  it('knows the resource of a key', () => {
    const buckets = ['/a/b/c/d', '/a/b/', '/a/b', '/a', '', '//b/c'].map(bucketOf)
    assert.deepEqual(buckets, ['/a/b/', '/a/b/', '', '', '', '//b/'])
  })

  it('lists what a plain map would, while keys come and go', () => {
    const key = fc.stringMatching(/^(\/[ab]{1,2}){1,4}$/)
    const step = fc.record({ type: fc.constantFrom('put', 'delete', 'list'), key })
    const property = fc.property(fc.array(step), fc.stringMatching(/^(\/[ab]{0,2}){0,4}$/), (steps, prefix) => {
      const rows = new Rows()
      const model = new Map<string, number>()
      const check = () => {
        const expected = [...model].filter(([one]) => one.startsWith(prefix)).toSorted(([a], [b]) => (a < b ? -1 : 1))
        assert.deepEqual(
          rows.list(prefix).map((row) => [row.key, row.revision]),
          expected,
        )
      }
      for (const [revision, { type, key }] of steps.entries()) {
        if (type === 'put') {
          rows.put({ key, revision, value: {} })
          model.set(key, revision)
        } else if (type === 'delete') {
          rows.delete(key)
          model.delete(key)
        } else check()
        assert.equal(rows.get(key)?.revision, model.get(key))
      }
      check()
    })
    fc.assert(property, { numRuns: 300 })
  })
})
