import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JsonObject } from '#base/json.ts'
import { jsonParts } from './json-parts.ts'

const items = Array.from({ length: 1000 }, (_, i) => ({ metadata: { name: `é${i}` }, text: 'x'.repeat(1000) }))
const rows = items.map((object, i) => ({ cells: [i], object }))
const bodies: readonly [name: string, body: JsonObject, isLong: boolean][] = [
  ['an object', { kind: 'A', a: [1] }, false],
  ['a short list', { kind: 'AList', items: items.slice(0, 100) }, false],
  ['a long list', { kind: 'AList', metadata: { resourceVersion: '1' }, items }, true],
  ['a long table', { rows, kind: 'Table', metadata: {} }, true],
]
for (const [name, body, isLong] of bodies)
  test(`the JSON of ${name} is the same whether or not it comes in parts`, () => {
    const parts = jsonParts(body)
    assert.equal(!Buffer.isBuffer(parts), isLong)
    const buffers = Buffer.isBuffer(parts) ? [parts] : [...parts]
    assert.deepEqual(JSON.parse(Buffer.concat(buffers).toString()), body)
    if (isLong) for (const part of buffers) assert.ok(part.length < 256 * 1024)
    const pretty = jsonParts(body, true)
    const text = Buffer.isBuffer(pretty) ? pretty : Buffer.concat([...pretty])
    assert.equal(text.toString(), JSON.stringify(ordered(body), null, 2))
  })

/** The long list of a body comes last. */
function ordered({ items, rows, ...rest }: JsonObject): JsonObject {
  return { ...rest, ...(items && { items }), ...(rows && { rows }) }
}
