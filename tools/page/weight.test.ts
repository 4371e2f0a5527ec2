import assert from 'node:assert/strict'
import { test } from 'node:test'
import { firstLoad } from './weight.ts'

test('the first load of the page is the entry and what it imports at once', () => {
  const manifest = {
    'index.html': { file: 'a.js', isEntry: true, imports: ['b'], css: ['a.css'], dynamicImports: ['later'] },
    b: { file: 'b.js', imports: ['index.html'] },
    later: { file: 'later.js' },
  }
  assert.deepEqual(firstLoad(manifest), ['a.js', 'a.css', 'b.js'])
})
