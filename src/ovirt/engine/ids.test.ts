import assert from 'node:assert/strict'
import { test } from 'node:test'
import { idIn } from './ids.ts'

test('ids are UUIDs of version 5 in the name space of another', () => {
  // The vector of Python's documentation: the name space of DNS, and python.org.
  assert.equal(idIn('6ba7b810-9dad-11d1-80b4-00c04fd430c8', 'python.org'), '886313e1-3b8a-5372-9b90-0c9aee199e5d')
  assert.notEqual(idIn('6ba7b810-9dad-11d1-80b4-00c04fd430c8', 'a'), idIn('6ba7b811-9dad-11d1-80b4-00c04fd430c8', 'a'))
})
