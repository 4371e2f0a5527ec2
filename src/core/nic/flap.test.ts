import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Flap, flapAnnotation, flapOf, flapText } from './flap.ts'

const mark: Flap = { interface: 'blue', who: 'jane', until: '2026-01-01T00:01:00.000Z', periodMs: 5000 }
const marked = (text: string) => ({ annotations: { [flapAnnotation]: text } })
const beforeMs = Date.parse(mark.until) - 1

test('a flap is known by its mark until its end', () => {
  assert.deepEqual(flapOf(marked(flapText(mark)), beforeMs), mark)
  assert.equal(flapOf(marked(flapText(mark)), beforeMs + 1), undefined)
})

test('a mark that says something else is none', () => {
  assert.equal(flapOf({}, beforeMs), undefined)
  for (const text of ['', 'x', '[]', '{}', flapText({ ...mark, until: 'soon' }), '{"interface":"blue"}'])
    assert.equal(flapOf(marked(text), beforeMs), undefined, text)
})
