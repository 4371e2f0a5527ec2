import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { parsePage, patternOf } from './page.ts'

describe('a page of documentation', () => {
  test('has the commands of each section, and what those print', () => {
    const page = parsePage(`# Cables

Words.

\`\`\`sh
one
# two
\`\`\`

\`\`\`text
first
\`\`\`

\`\`\`text
is of nobody
\`\`\`

## Nothing here

\`\`\`yaml
kind: VM
\`\`\`

## Pull

\`\`\`sh
three
\`\`\`

Words between.

\`\`\`text
is not of three
\`\`\`

\`\`\`sh
four
\`\`\`
`)
    assert.deepEqual(
      [...page],
      [
        ['Cables', [{ commands: 'one\n# two\n', says: 'first\n' }]],
        ['Pull', [{ commands: 'three\n' }, { commands: 'four\n' }]],
      ],
    )
  })

  test('says what is printed word for word, but for what it leaves open', () => {
    const pattern = patternOf('NAME …\n…\nlink is up (1.0s)\n')
    for (const printed of ['NAME  MAC\nlink is up (1.0s)\n', 'NAME \na\n\nb\nlink is up (1.0s)  \n'])
      assert.match(printed, pattern)
    for (const printed of [
      'NAMES\nlink is up (1.0s)\n',
      'NAME x\nlink is up (1x0s)\n',
      'NAME x\nlink is up (1.0s)\nmore\n',
      'NAME x\nis up\n',
    ])
      assert.doesNotMatch(printed, pattern)
  })
})

test('the index of the examples names every file', () => {
  const folder = fileURLToPath(new URL('../../docs/examples', import.meta.url))
  const index = readFileSync(`${folder}/README.md`, 'utf8')
  const files = globSync('*', { cwd: folder }).filter((file) => file !== 'README.md')
  assert.deepEqual(
    files.filter((file) => !index.includes(`(${file})`)),
    [],
  )
})
