import assert from 'node:assert/strict'
import { test } from 'node:test'
import { load } from 'js-yaml'
import type { JsonObject } from '#base/json.ts'
import { yamlAnswer } from './json-answer.ts'

const bodyOf = ({ body }: ReturnType<typeof yamlAnswer>) =>
  typeof body === 'string' || body instanceof Uint8Array ? String(body) : Buffer.concat([...body]).toString()

const shared = { mac: '52:54:00:12:34:56', no: 'no', octal: '012', text: 'a: b\n# c\n\t"d"', empty: '' }
const bodies: readonly [what: string, body: JsonObject, isReadable: boolean][] = [
  ['a small object', { a: shared, b: shared, list: [shared, null, 5, true] }, true],
  ['an object with a field that is undefined', { a: undefined, b: 1 }, true],
  ['a large object', { data: Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`k${i}`, 'v'])) }, false],
  ['a long text', { data: { a: 'x\n'.repeat(100_000) } }, false],
  ['a long list', { items: Array.from({ length: 101 }, () => shared) }, false],
]
for (const [what, body, isReadable] of bodies)
  test(`${what} as YAML says what it says, ${isReadable ? 'to be read' : 'as JSON, in as little time'}`, () => {
    const text = bodyOf(yamlAnswer(200, body))
    assert.deepEqual(load(text), JSON.parse(JSON.stringify(body)))
    assert.equal(!text.startsWith('{'), isReadable)
  })
