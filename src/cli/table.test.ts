import assert from 'node:assert/strict'
import { test } from 'node:test'
import { table } from './table.ts'

test('columns are as wide as their widest cell, and nothing ends in spaces', () => {
  assert.deepEqual(table(['NAME', 'LINK'], [['default', 'up'], ['blue']]), ['NAME      LINK', 'default   up', 'blue'])
})

test('what a guest calls itself commands no terminal', () => {
  const [, row] = table(['NAME', 'IP'], [['eth0\u001b[2J\u0007\n\u009b31m', '\u0000']])
  assert.equal(row, 'eth0?[2J???31m   ?')
})
