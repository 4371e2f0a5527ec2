import assert from 'node:assert/strict'
import { test } from 'node:test'
import { logPart, partOf } from './pod-log.ts'

for (const [query, expected] of [
  [{}, {}],
  [{ container: 'compute', follow: 'false', previous: '' }, {}],
  [
    { tailLines: '10', limitBytes: '100' },
    { tailLines: 10, limitBytes: 100 },
  ],
  [{ tailLines: '0' }, { tailLines: 0 }],
  [{ container: 'other' }, { refuse: 'container other is not valid for pod p' }],
  [{ previous: 'true' }, { refuse: 'previous terminated container "compute" in pod "p" not found' }],
  [{ tailLines: '-1' }, { refuse: 'tailLines: Invalid value: "-1": must be a whole number of at least 0' }],
  [{ limitBytes: '0' }, { refuse: 'limitBytes: Invalid value: "0": must be a whole number of at least 1' }],
  [{ limitBytes: 'x' }, { refuse: 'limitBytes: Invalid value: "x": must be a whole number of at least 1' }],
] as const)
  test(`the log that ${JSON.stringify(query)} asks for`, () => assert.deepEqual(logPart('p', query), expected))

for (const option of ['follow', 'timestamps', 'sinceSeconds', 'sinceTime'])
  test(`${option} is refused with what to use`, () => {
    const part = logPart('p', { [option]: option === 'sinceSeconds' ? '5' : 'true' })
    assert.match('refuse' in part ? part.refuse : '', /; (leave out|use) /)
  })

for (const [text, part, expected] of [
  ['a\nb\nc\n', {}, 'a\nb\nc\n'],
  ['a\nb\nc\n', { tailLines: 2 }, 'b\nc\n'],
  ['a\nb\nc', { tailLines: 2 }, 'b\nc'],
  ['a\nb\n', { tailLines: 9 }, 'a\nb\n'],
  ['a\nb\n', { tailLines: 0 }, ''],
  ['a\nb\n', { limitBytes: 3 }, 'a\nb'],
  ['a\nbb\n', { tailLines: 1, limitBytes: 1 }, 'b'],
  ['', { tailLines: 3 }, ''],
] as const)
  test(`${JSON.stringify(part)} of ${JSON.stringify(text)} is ${JSON.stringify(expected)}`, () =>
    assert.equal(partOf(text, part), expected))
