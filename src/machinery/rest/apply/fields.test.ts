import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  difference,
  type Fields,
  intersection,
  isEmpty,
  isMember,
  noFields,
  parseFields,
  pathsOf,
  union,
} from './fields.ts'

const names = ['f:a', 'f:b', 'k:{"name":"x"}', 'v:"y"']

/** A set as the list of its members' paths, the way it is easiest to make and to reason about. */
const somePaths = fc.array(fc.array(fc.constantFrom(...names), { minLength: 1, maxLength: 3 }), { maxLength: 6 })

function setOf(paths: readonly (readonly string[])[]): Fields {
  const leaf = (path: readonly string[]): Fields => (path.length ? { [path[0]!]: leaf(path.slice(1)) } : noFields)
  return paths.reduce<Fields>((set, path) => union(set, leaf(path)), noFields)
}

const some = somePaths.map(setOf)
const members = (set: Fields) => pathsOf(set).sort()
const check = (name: string, ...law: Parameters<typeof fc.property<[Fields, Fields, Fields]>>) =>
  test(`fields: ${name}`, () => fc.assert(fc.property(...law), { numRuns: 500 }))

check('union has the members of both', some, some, some, (a, b) => {
  assert.deepEqual(members(union(a, b)), [...new Set([...pathsOf(a), ...pathsOf(b)])].sort())
})
check('intersection has the members that both have', some, some, some, (a, b) => {
  const right = pathsOf(b)
  assert.deepEqual(
    members(intersection(a, b)),
    members(a).filter((path) => right.includes(path)),
  )
})
check('difference has the members that only the first has', some, some, some, (a, b) => {
  const right = pathsOf(b)
  assert.deepEqual(
    members(difference(a, b)),
    members(a).filter((path) => !right.includes(path)),
  )
})
check('a deep difference has no member below one of the second', some, some, some, (a, b) => {
  const right = pathsOf(b)
  const isBelow = (path: string) =>
    right.some((one) => path === one || path.startsWith(`${one}.`) || path.startsWith(`${one}[`))
  assert.deepEqual(
    members(difference(a, b, true)),
    members(a).filter((path) => !isBelow(path)),
  )
})
check('union and intersection are commutative and associative', some, some, some, (a, b, c) => {
  for (const op of [union, intersection]) {
    assert.deepEqual(op(a, b), op(b, a))
    assert.deepEqual(op(op(a, b), c), op(a, op(b, c)))
  }
})
check('intersection distributes over union', some, some, some, (a, b, c) => {
  assert.deepEqual(intersection(a, union(b, c)), union(intersection(a, b), intersection(a, c)))
})
check('a set is the union of what is in another and what is not', some, some, some, (a, b) => {
  assert.deepEqual(union(intersection(a, b), difference(a, b)), a)
  assert.ok(isEmpty(difference(a, a)))
  assert.ok(isEmpty(difference(a, a, true)))
})
check('no operation leaves an empty branch that would read as a member', some, some, some, (a, b) => {
  const sound = (set: Fields): boolean =>
    Object.entries(set).every(([key, node]) => key === '.' || ((isMember(node) || !isEmpty(node)) && sound(node)))
  for (const set of [union(a, b), intersection(a, b), difference(a, b), difference(a, b, true)]) assert.ok(sound(set))
})
check('survives a trip through JSON', some, some, some, (a) => {
  assert.deepEqual(parseFields(JSON.parse(JSON.stringify(a))), a)
})
check('operands stay as they were', some, some, some, (a, b) => {
  const before = JSON.stringify([a, b])
  for (const op of [union, intersection, difference]) op(a, b)
  assert.equal(JSON.stringify([a, b]), before)
})

test('fields: what is no set is not read as one', () => {
  for (const bad of [
    null,
    [],
    'x',
    { a: {} },
    { 'f:a': null },
    { 'f:a': { '.': { 'f:b': {} } } },
    { 'k:x': {} },
    { 'k:1': {} },
  ])
    assert.equal(parseFields(bad as never), undefined, JSON.stringify(bad))
})
