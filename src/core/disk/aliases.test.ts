import assert from 'node:assert/strict'
import { test } from 'node:test'
import { aliasIn } from './aliases.ts'

const has = (...aliases: string[]) => aliases.map((alias) => ({ alias, target: 'vda' }))
const nic = [{ name: 'data' }]

test('a disk has the alias of its name, another one beside an interface of that name', () => {
  assert.equal(aliasIn([], 'data', ['data'], []), 'ua-data')
  assert.equal(aliasIn([], 'data', ['data'], nic), 'ua-disk-data')
})

test('a disk keeps its alias when an interface of its name comes or leaves', () => {
  assert.equal(aliasIn(has('ua-data'), 'data', ['data'], nic), 'ua-data')
  assert.equal(aliasIn(has('ua-disk-data'), 'data', ['data'], []), 'ua-disk-data')
  // That is the alias of another disk.
  assert.equal(aliasIn(has('ua-disk-data'), 'data', ['data', 'disk-data'], []), 'ua-data')
})
