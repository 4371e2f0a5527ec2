import assert from 'node:assert/strict'
import { test } from 'node:test'
import { tooLong } from './sizes.ts'

const lines = (count: number) => '  x()\n'.repeat(count)
const braces = "const text = `{ '{' {`\nconst pattern = /[{]{2,}/ // {\n"

for (const [what, text, problem] of [
  ['a function', `${braces}function f() {\n${lines(59)}}`, 'src/a.ts:3 f has 61 lines; split it below 60'],
  ['an arrow', `const f = () => {\n${lines(59)}}`, 'src/a.ts:1 f has 61 lines; split it below 60'],
  [
    'an arrow without a body',
    `const f = () => [\n${'  1,\n'.repeat(59)}]`,
    'src/a.ts:1 f has 61 lines; split it below 60',
  ],
  ['a method', `class A {\n  m() {\n${lines(59)}}\n}`, 'src/a.ts:2 m has 61 lines; split it below 60'],
  ['a private one', `class A {\n  #m() {\n${lines(59)}}\n}`, 'src/a.ts:2 m has 61 lines; split it below 60'],
  ['what is handed over', `run(() => {\n${lines(59)}})`, 'src/a.ts:1 run() has 61 lines; split it below 60'],
  ['a file', lines(400), 'src/a.ts has 401 lines; split it below 400'],
] as const)
  test(`sizes: ${what} that is too long is found`, () => assert.deepEqual(tooLong('src/a.ts', text), [problem]))

test('sizes: sixty lines are allowed, and any of a class', () => {
  const method = (name: string) => `  ${name}() {\n${lines(58)}}\n`
  assert.deepEqual(tooLong('src/a.ts', `class A {\n${['a', 'b', 'c'].map(method).join('')}}`), [])
})

test('sizes: tests may be longer, and a list of them as long as its file', () => {
  const test101 = `test('x', () => {\n${lines(99)}})`
  assert.deepEqual(tooLong('test/a.ts', `describe('x', () => {\n${lines(99)}})`), [])
  assert.deepEqual(tooLong('src/a.test.ts', test101), ['src/a.test.ts:1 test() has 101 lines; split it below 100'])
  assert.deepEqual(tooLong('src/a.test.ts', `test('x', () => {\n${lines(98)}})`), [])
})

test('sizes: an exception holds for its function, and ends with it', () => {
  const known = { 'src/a.ts f': 'why' }
  const long = (name: string) => `function ${name}() {\n${lines(59)}}`
  assert.deepEqual(tooLong('src/a.ts', long('f'), known), [])
  assert.equal(tooLong('src/a.ts', long('g'), known).length, 2)
  assert.deepEqual(tooLong('src/a.ts', 'function f() {}', known), [
    'src/a.ts f is short enough, and no exception any more; take it out of tools/sizes.ts',
  ])
})
