import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { Kind } from '#apis/meta/object.ts'
import { Fault } from '#base/fault.ts'
import { faultIn, Widget } from '#kit/machinery/rest/rest-kit.ts'
import { parseFieldSelector, parseLabelSelector } from './selector.ts'

const labelled = (labels: Record<string, string>) => ({ metadata: { labels } })

const rows: readonly [selector: string, labels: Record<string, string>, selected: boolean][] = [
  ['', {}, true],
  ['a=b', { a: 'b' }, true],
  ['a==b', { a: 'b' }, true],
  ['a = b', { a: 'b' }, true],
  ['a=b', { a: 'c' }, false],
  ['a=b', {}, false],
  ['a!=b', {}, true],
  ['a!=b', { a: 'b' }, false],
  ['a=', { a: '' }, true],
  ['a=', {}, false],
  ['a', { a: '' }, true],
  ['!a', { a: '' }, false],
  ['! a', {}, true],
  ['a in (b,c)', { a: 'c' }, true],
  ['a in(b, c)', { a: 'c' }, true],
  ['a in (b,c)', {}, false],
  ['a notin (b,c)', { a: 'd' }, true],
  ['a notin (b,c)', {}, true],
  ['a notin (b,c)', { a: 'b' }, false],
  ['a in (b),c=d,!e', { a: 'b', c: 'd' }, true],
  ['a in (b),c=d,!e', { a: 'b', c: 'd', e: '' }, false],
  ['kubevirt.io/vm=x', { 'kubevirt.io/vm': 'x' }, true],
  ['constructor', {}, false],
]
for (const [selector, labels, selected] of rows)
  test(`labels: ${selector || 'nothing'} ${selected ? 'selects' : 'does not select'} ${JSON.stringify(labels)}`, () => {
    assert.equal(parseLabelSelector(selector)(labelled(labels)), selected)
  })

for (const selector of ['a=b=c', '=b', 'a in b', 'a in (b', 'a b', 'a=b,', 'a>1', '(a)', 'a in ((b))', ','])
  test(`labels: ${selector} is refused and named`, async () => {
    const fault = await faultIn(() => parseLabelSelector(selector))
    assert.equal(fault.kind, 'BadRequest')
    assert.match(fault.message, /unable to parse requirement/)
  })

type Requirement = {
  key: string
  operator: '=' | '==' | '!=' | 'in' | 'notin' | 'exists' | 'missing'
  values: string[]
}

const letters = (min: number) => fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: min, maxLength: 2 })
const labelKey = fc.oneof(
  letters(1),
  letters(1).map((name) => `x.io/${name}`),
)
const requirement: fc.Arbitrary<Requirement> = fc.record({
  key: labelKey,
  operator: fc.constantFrom('=', '==', '!=', 'in', 'notin', 'exists', 'missing'),
  values: fc.array(letters(0), { minLength: 1, maxLength: 3 }),
})

/** A requirement in one of its spellings: `gap` goes wherever white space may be. */
function print({ key, operator, values }: Requirement, gap: string): string {
  if (operator === 'exists') return key
  if (operator === 'missing') return `!${gap}${key}`
  return operator === 'in' || operator === 'notin'
    ? `${key} ${operator}${gap}(${values.join(`${gap},${gap}`)})`
    : `${key}${gap}${operator}${gap}${values[0]}`
}

function holds({ key, operator, values }: Requirement, labels: Record<string, string>): boolean {
  const value = Object.hasOwn(labels, key) ? labels[key] : undefined
  if (operator === 'exists') return value !== undefined
  if (operator === 'missing') return value === undefined
  const wanted = operator === 'in' || operator === 'notin' ? values : values.slice(0, 1)
  return (value !== undefined && wanted.includes(value)) === (operator !== '!=' && operator !== 'notin')
}

test('labels: whatever is printed is understood as it was meant', () => {
  const labels = fc.dictionary(labelKey, letters(0))
  const gap = fc.constantFrom('', ' ')
  fc.assert(
    fc.property(fc.array(requirement, { minLength: 1, maxLength: 4 }), labels, gap, (requirements, map, space) => {
      const text = requirements.map((one) => print(one, space)).join(`${space},${space}`)
      const selected = parseLabelSelector(text)(labelled(map))
      assert.equal(
        selected,
        requirements.every((one) => holds(one, map)),
      )
    }),
    { numRuns: 500 },
  )
})

test('selectors: junk is refused with BadRequest or understood, never anything else', () => {
  const junk = fc.string({ unit: fc.constantFrom(...'ab=!,() \t.[]/"\\é\0innot'), maxLength: 20 })
  fc.assert(
    fc.property(junk, (text) => {
      for (const parse of [parseLabelSelector, (one: string) => parseFieldSelector(one, Widget)])
        try {
          assert.equal(typeof parse(text)({ metadata: {} }), 'boolean')
        } catch (error) {
          assert.ok(error instanceof Fault && error.kind === 'BadRequest', String(error))
        }
    }),
    { numRuns: 1000 },
  )
})

const vm = VirtualMachine as unknown as Kind

test('fields: any scalar of the kind can be selected by, in all spellings of equality', () => {
  const doc = {
    metadata: { name: 'x', namespace: 'ns' },
    spec: { running: true },
    status: { printableStatus: 'Running' },
  }
  const selects = (text: string) => parseFieldSelector(text, vm)(doc)
  assert.equal(selects('metadata.name=x,status.printableStatus==Running,spec.running=true'), true)
  assert.equal(selects('metadata.name!=x'), false)
  assert.equal(selects('spec.runStrategy='), true, 'what is absent equals the empty string')
  assert.equal(selects('metadata.namespace=other'), false)
})

test('fields: whatever is printed is understood as it was meant', () => {
  const doc = { metadata: { name: 'x', namespace: 'a' }, spec: { running: true, runStrategy: 'Halted' } }
  const fields: Record<string, string> = {
    'metadata.name': 'x',
    'metadata.namespace': 'a',
    'spec.running': 'true',
    'spec.runStrategy': 'Halted',
    'status.printableStatus': '',
  }
  const part = fc.record({
    path: fc.constantFrom(...Object.keys(fields)),
    operator: fc.constantFrom('=', '==', '!='),
    value: fc.constantFrom('', 'x', 'a', 'true', 'Halted'),
    gap: fc.constantFrom('', ' '),
  })
  fc.assert(
    fc.property(fc.array(part, { minLength: 1, maxLength: 3 }), (parts) => {
      const text = parts.map(({ path, operator, value, gap }) => `${gap}${path}${gap}${operator}${value}`).join(',')
      const wanted = parts.every(({ path, operator, value }) => (fields[path] === value) === (operator !== '!='))
      assert.equal(parseFieldSelector(text, vm)(doc), wanted, text)
    }),
    { numRuns: 500 },
  )
})

for (const path of [
  'metadata.nope',
  'metadata.labels.a',
  'spec',
  'spec.template',
  'nope',
  'spec.__proto__',
  'spec.running.x',
])
  test(`fields: ${path}!=x is refused instead of selecting everything`, async () => {
    const fault = await faultIn(() => parseFieldSelector(`${path}!=x`, vm))
    assert.equal(fault.kind, 'BadRequest')
    assert.equal(fault.message, `field label not supported: ${path}`)
  })

test('a selector of too many requirements is refused', async () => {
  const fault = await faultIn(() => parseLabelSelector(Array.from({ length: 501 }, () => 'a').join(',')))
  assert.equal(fault.message, 'the selector has 501 requirements; at most 500 are taken')
  assert.equal((await faultIn(() => parseLabelSelector(','.repeat(60_000)))).kind, 'BadRequest')
})
