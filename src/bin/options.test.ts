import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { Command } from 'commander'
import { defaultLimits } from '#machinery/http/limits.ts'
import { acceleratorOf, addLimitOptions, limitOptions, limitsOf, limitText, sourcesOf } from './options.ts'

test('every limit has an option, and without any the defaults hold', () => {
  assert.deepEqual(limitOptions.map(({ limit }) => limit).sort(), Object.keys(defaultLimits).sort())
  assert.deepEqual(limitsOf(addLimitOptions(new Command()).parse([], { from: 'user' })), defaultLimits)
})

test('a limit is what its option says, and what is no number is refused by name', () => {
  const parse = (...args: string[]) => limitsOf(addLimitOptions(new Command()).parse(args, { from: 'user' }))
  assert.equal(parse('--request-timeout', '2.5').requestTimeoutMs, 2500)
  assert.equal(parse('--http2-max-streams-per-connection', '7').http2MaxStreamsPerConnection, 7)
  assert.throws(() => parse('--max-watches', 'many'), { message: '--max-watches many is no whole number above 0' })
  assert.throws(() => parse('--idle-timeout', '-1'), { message: /^--idle-timeout -1 is no number of seconds/ })
})

test('the networks to copy are named, or there are to be none', () => {
  assert.deepEqual(sourcesOf('blue,far/red', false), ['blue', 'far/red'])
  assert.deepEqual(sourcesOf(undefined, true), [])
  for (const from of [undefined, '', ','])
    assert.throws(() => sourcesOf(from, false), { kind: 'Invalid', message: /--from NAD\[,NAD\], or .* --off$/ })
})

test('docs/limits.md lists every limit with its default', async () => {
  const page = await readFile(new URL('../../docs/limits.md', import.meta.url), 'utf8')
  for (const option of limitOptions)
    assert.ok(
      page.includes(`| \`${option.flag}\` | ${limitText(option)} | ${option.unit} | ${option.words} |`),
      option.flag,
    )
})

test('what guests run with is one of three words', () => {
  for (const word of ['auto', 'kvm', 'tcg']) assert.equal(acceleratorOf('--accelerator', word), word)
  assert.throws(() => acceleratorOf('--accelerator', 'hvf'), {
    kind: 'Invalid',
    message: '--accelerator hvf is none of auto, kvm and tcg',
  })
})
