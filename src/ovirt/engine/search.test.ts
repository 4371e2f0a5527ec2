import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { EngineFault } from '../wire/faults.ts'
import { type Fields, searched } from './search.ts'

type Thing = Readonly<{ name: string; size: string; owner: string }>
const things: readonly Thing[] = [
  { name: 'alpha', size: '9', owner: 'a_b' },
  { name: 'Beta', size: '10', owner: 'a.b' },
  { name: 'gamma-1', size: '100', owner: 'c' },
]
const fields: Fields<Thing> = ({ name, size, owner }, field, of) => {
  if (of === 'owner') return field === 'name' ? [owner] : undefined
  return of === undefined || of === 'thing' ? { name: [name], size: [size] }[field] : undefined
}
const find = (search: string, more: Partial<{ max: number; isCaseSensitive: boolean }> = {}) =>
  searched(things, { search, isCaseSensitive: false, ...more }, fields).map(({ name }) => name)

describe('searches', () => {
  const table: readonly (readonly [search: string, found: readonly string[]])[] = [
    ['', ['alpha', 'Beta', 'gamma-1']],
    ['name=alpha', ['alpha']],
    ['name = "ALPHA"', ['alpha']],
    ['name=*a', ['alpha', 'Beta']],
    ['name=*', ['alpha', 'Beta', 'gamma-1']],
    ['name=alph', []],
    ['alph', ['alpha']],
    ['"amma-"', ['gamma-1']],
    // A dot and an underscore stand for themselves.
    ['owner.name=a_b', ['alpha']],
    ['owners.name=a.b', ['Beta']],
    ['Things.name=alpha', ['alpha']],
    ['name!=alpha', ['Beta', 'gamma-1']],
    ['size>9', ['Beta', 'gamma-1']],
    ['size>=9 size<100', ['alpha', 'Beta']],
    ['size <= 10', ['alpha', 'Beta']],
    ['name=alpha or name=beta', ['alpha', 'Beta']],
    // `and` binds tighter.
    ['name=alpha or name=beta and size>50', ['alpha']],
    ['name=beta and size=10 or name=gamma*', ['Beta', 'gamma-1']],
    ['sortby size desc', ['gamma-1', 'Beta', 'alpha']],
    ['SORTBY name ASC page 1', ['alpha', 'Beta', 'gamma-1']],
    ['name=* sortby size desc page 2', []],
  ]
  for (const [search, found] of table) it(search || 'nothing', () => assert.deepEqual(find(search), found))

  it('counts pages in pages of max', () => {
    assert.deepEqual(find('sortby name page 2', { max: 2 }), ['gamma-1'])
    assert.deepEqual(find('', { max: 1 }), ['alpha'])
  })

  it('looks at the case only when it is to', () => {
    assert.deepEqual(find('name=beta', { isCaseSensitive: true }), [])
    assert.deepEqual(find('name=B*', { isCaseSensitive: true }), ['Beta'])
  })

  for (const search of [
    'colour=red',
    'planet.name=x',
    'name=',
    '=alpha',
    'name="alpha',
    'sortby',
    'page x',
    'page 0',
    'name==a',
  ])
    it(`refuses ${search}`, () =>
      assert.throws(
        () => find(search),
        (error) => error instanceof EngineFault && error.code === 400,
      ))
})
