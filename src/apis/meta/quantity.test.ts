import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseQuantity, quantityText } from './quantity.ts'

const canonical: readonly (readonly [unknown, string])[] = [
  ['2', '2'],
  [2, '2'],
  ['0', '0'],
  ['500m', '500m'],
  ['1500m', '1500m'],
  ['2000m', '2'],
  ['1.5', '1500m'],
  ['.5', '500m'],
  ['1000', '1k'],
  ['1500', '1500'],
  ['1e3', '1e3'],
  ['12e1', '120'],
  ['1G', '1G'],
  ['1024Mi', '1Gi'],
  ['1536Mi', '1536Mi'],
  ['1.5Gi', '1536Mi'],
  ['0.5Ki', '512'],
  ['1025', '1025'],
  ['1n', '1m'],
  ['-1', '-1'],
  ['+3k', '3k'],
]

for (const [written, text] of canonical)
  test(`quantity ${written} is ${text}, as Kubernetes writes it`, () => {
    const quantity = parseQuantity(written)
    assert.ok(quantity)
    assert.equal(quantityText(quantity), text)
    assert.equal(parseQuantity(text)?.milli, quantity.milli)
  })

test('what is no quantity is none', () => {
  for (const text of ['', '.', 'x', '1 Gi', '1gi', '1Zi', '--1', 'e3', '1e', null, {}, true, '9'.repeat(40)])
    assert.equal(parseQuantity(text), undefined, String(text))
})
