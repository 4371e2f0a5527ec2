import assert from 'node:assert/strict'
import { test } from 'node:test'
import { wrongWords } from './prose.ts'

const found = (line: number, word: string, instead: string) => [`src/a.ts:${line} says "${word}"; name ${instead}`]

for (const [what, text, problem] of [
  ['a comment', 'f()\n// Whoever calls it.', found(2, 'Whoever', 'the component, user or client')],
  ['a docstring', '/**\n * One\n * is told.\n */', found(3, 'is told', 'gets, is called with, is reported')],
  ['a string', "f('made anew')", found(1, 'anew', 'again')],
  ['a template', 'f(`It is not\n to be had`)', found(2, 'to be had', 'available')],
] as const)
  test(`prose: a word of the list is found in ${what}`, () => assert.deepEqual(wrongWords('src/a.ts', text), problem))

test('prose: a phrase broken by a line is found where it begins', () => {
  assert.deepEqual(wrongWords('src/a.ts', '/**\n * Who is\n * told.\n */'), found(2, 'is told', words))
})

const words = 'gets, is called with, is reported'

test('prose: names in code and parts of words are left', () => {
  assert.deepEqual(wrongWords('src/a.ts', 'somebody(anew)\n// renewed, whomever'), [])
})

test('prose: in documents code is left, and the lines count', () => {
  const text = '`nobody`\n```\nnobody\n```\nFor nobody.\n'
  assert.deepEqual(wrongWords('docs/a.md', text), ['docs/a.md:5 says "nobody"; name no client, user or component'])
})
