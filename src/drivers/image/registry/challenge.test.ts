import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseChallenges } from './challenge.ts'

const parsed = (header: string) =>
  parseChallenges(header).map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)])

test('challenges are parsed as servers write them', () => {
  assert.deepEqual(
    parsed('Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"'),
    [
      [
        'bearer',
        { realm: 'https://auth.docker.io/token', service: 'registry.docker.io', scope: 'repository:a/b:pull,push' },
      ],
    ],
  )
  assert.deepEqual(parsed('basic Realm = "a \\"b\\" c"'), [['basic', { realm: 'a "b" c' }]])
  assert.deepEqual(parsed('Negotiate, Basic realm=x, Bearer realm="y" , service=z'), [
    ['negotiate', {}],
    ['basic', { realm: 'x' }],
    ['bearer', { realm: 'y', service: 'z' }],
  ])
  assert.deepEqual(parsed(''), [])
  assert.deepEqual(parsed('Bearer'), [['bearer', {}]])
})

test('what cannot be understood ends the header, and takes no time', () => {
  assert.deepEqual(parsed('Bearer realm="open'), [['bearer', {}]])
  for (const header of [
    '"',
    '=',
    ',,,,',
    `Bearer ${'a='.repeat(50_000)}`,
    `Bearer realm="${'\\'.repeat(99_999)}`,
    'a'.repeat(1e6),
  ])
    parseChallenges(header)
})
