import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseConflist } from './conflist.ts'

const plugins = ['bridge', 'host-local', 'tuning']
const parse = (value: unknown) =>
  parseConflist(typeof value === 'string' ? value : JSON.stringify(value), plugins, 'fallback')
const errorsOf = (value: unknown) => {
  const parsed = parse(value)
  return 'errors' in parsed ? parsed.errors : []
}

describe('a CNI configuration', () => {
  it('may be one plugin or a list', () => {
    const bridge = { type: 'bridge', bridge: 'br1' }
    assert.deepEqual(parse({ cniVersion: '0.4.0', name: 'blue', ...bridge }), {
      conflist: { cniVersion: '0.4.0', name: 'blue', plugins: [{ cniVersion: '0.4.0', name: 'blue', ...bridge }] },
    })
    assert.deepEqual(parse({ cniVersion: '1.0.0', name: 'blue', plugins: [bridge, { type: 'tuning' }] }), {
      conflist: { cniVersion: '1.0.0', name: 'blue', plugins: [bridge, { type: 'tuning' }] },
    })
  })

  it('gets a name and a version when it has none', () => {
    const parsed = parse({ type: 'bridge' })
    assert.ok('conflist' in parsed)
    assert.equal(parsed.conflist.name, 'fallback')
    assert.match(parsed.conflist.cniVersion, /^0\.\d\.\d$/)
  })

  for (const type of [
    '../bridge',
    '/usr/lib/cni/bridge',
    'bridge/../x',
    '..',
    '.',
    '',
    'a b',
    'bridge;reboot',
    7,
    null,
  ])
    it(`is refused with type ${JSON.stringify(type)}`, () => {
      const [error, ...more] = errorsOf({ name: 'n', plugins: [{ type: 'tuning' }, { type }] })
      assert.match(error ?? '', /^plugins\[1\]\.type: /)
      assert.deepEqual(more, [])
    })

  it('says what there is when a plugin is not on this host', () => {
    assert.match(errorsOf({ name: 'n', type: 'ovs' })[0] ?? '', /^type: .*"ovs".*available: bridge, host-local, tuning/)
    assert.match(errorsOf({ name: 'n', type: 'bridge', ipam: { type: '../x' } })[0] ?? '', /^ipam\.type: /)
    assert.deepEqual(errorsOf({ name: 'n', type: 'bridge', ipam: {} }), [])
  })

  it('is told everything that is wrong with it at once', () => {
    const errors = errorsOf({ cniVersion: '9.9.9', name: 'a/b', plugins: [{}, 'x', { type: 'nope' }] })
    assert.equal(errors.length, 5)
    for (const text of ['{', '[]', '7', '""', '']) assert.equal(errorsOf(text).length, 1)
    assert.equal(errorsOf({ name: 'n', plugins: [] }).length, 1)
  })
})

describe('a hostile CNI configuration', () => {
  const huge = 'x'.repeat(30_000)
  for (const [what, text] of [
    ['larger than any', JSON.stringify({ type: 'bridge', pad: 'x'.repeat(1_400_000) })],
    ['a long name', JSON.stringify({ type: 'bridge', name: `/${huge}` })],
    ['a long type', JSON.stringify({ type: huge })],
    ['a version that is an object', JSON.stringify({ type: 'bridge', cniVersion: { [huge]: huge } })],
    ['thousands of plugins', JSON.stringify({ plugins: Array.from({ length: 5000 }, () => ({})) })],
    ['NUL and newline in its name', JSON.stringify({ type: 'bridge', name: 'a\0b\nc' })],
    ['NUL in a type', JSON.stringify({ type: 'bridge\0' })],
    ['a newline behind a type', JSON.stringify({ type: 'bridge\n' })],
    ['dots for a name', JSON.stringify({ type: 'bridge', name: '..' })],
    ['__proto__ for a plugin', '{"__proto__":{"type":"bridge"}}'],
    ['nesting without end in a list', `{"plugins":${'['.repeat(20_000)}${']'.repeat(20_000)}}`],
  ] as const)
    it(`is refused in a few words: ${what}`, () => {
      const { length } = errorsOf(text)
      assert.ok(length > 0 && length <= 11, String(length))
      assert.ok(errorsOf(text).join().length < 2000)
    })
})

it('refuses a configuration nested without end, in a sentence', () => {
  const text = `{"type":"bridge","a":${'['.repeat(5000)}${']'.repeat(5000)}}`
  assert.deepEqual(parseConflist(text, ['bridge'], 'n'), {
    errors: ['spec.config is nested deeper than 100 levels; make it flatter'],
  })
})
