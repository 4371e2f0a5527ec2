import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertionProblems, countTexts } from './assertions.ts'

const text = `import { a as b } from './a.ts'
// a comment: value as unknown as Doc, thing!
export { b as c }
const list = ['x as y', \`as \${one!.two} z!\`, /as z!/] as const
const two = value as unknown as Doc
let later!: string
if (!list || list !== two) later = list[0]!
`

test('assertions: casts and non-null assertions are counted, and nothing that only looks like them', () => {
  assert.deepEqual([...countTexts({ 'src/core/x.ts': text })], [['core', { casts: 2, nonNulls: 2, lines: 7 }]])
})

test('assertions: files are summed by their top folder', () => {
  const counts = countTexts({ 'src/core/a.ts': 'a!\n', 'src/core/nic/b.ts': 'b!\n', 'src/bin/c.ts': 'c as D\n' })
  assert.deepEqual(Object.fromEntries(counts), {
    core: { casts: 0, nonNulls: 2, lines: 2 },
    bin: { casts: 1, nonNulls: 0, lines: 1 },
  })
})

test('assertions: a folder with more than its limit is a problem, one without a limit too', () => {
  const counts = new Map([['core', { casts: 3, nonNulls: 1, lines: 1000 }]])
  assert.deepEqual(assertionProblems(counts, { core: { casts: 3, nonNulls: 1 } }), [])
  assert.match(assertionProblems(counts, { core: { casts: 2.9, nonNulls: 1 } }).join(), /3\.0 casts \(as\) per 1000/)
  assert.match(assertionProblems(counts, { core: { casts: 3, nonNulls: 0 } }).join(), /1\.0 non-null assertions/)
  assert.match(assertionProblems(counts, {}).join(), /core has no limit/)
})
