import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Command } from 'commander'
import { addDownloadOptions, downloadOptionsOf } from './image-options.ts'

const parse = (...args: string[]) =>
  downloadOptionsOf(addDownloadOptions(new Command()).parse(args, { from: 'user' }).opts())

test('without options images come from their registries, and none from this host', () => {
  assert.deepEqual(parse(), { mirrors: new Map(), isLocalAllowed: false })
})

test('mirrors are for one host or for all others', () => {
  const { mirrors } = parse(
    ...['--registry-mirror', 'Quay.io=http://mirror:5000'],
    ...['--registry-mirror', 'registry:5000=https://m/a=b/'],
    ...['--registry-mirror', 'http://all'],
  )
  assert.deepEqual(
    [...mirrors].map(([host, { href }]) => [host, href]),
    [
      ['quay.io', 'http://mirror:5000/'],
      ['registry:5000', 'https://m/a=b/'],
      ['*', 'http://all/'],
    ],
  )
})

test('the other options are what they say', () => {
  const all = parse('--image-ca', 'ca.pem', '--image-proxy', 'http://me:pw@proxy:3128', '--allow-local-downloads')
  assert.equal(all.caFile, 'ca.pem')
  assert.equal(all.proxy?.href, 'http://me:pw@proxy:3128/')
  assert.equal(all.isLocalAllowed, true)
})

test('what is no URL is refused by the name of its option', () => {
  for (const text of [
    'mirror:5000',
    'quay.io=',
    'quay.io=ftp://x',
    'quay.io=http://a:b@x',
    'http://x?y',
    'a b=http://x',
  ])
    assert.throws(
      () => parse('--registry-mirror', text),
      { kind: 'Invalid', message: /^--registry-mirror .* is no/ },
      text,
    )
  assert.throws(() => parse('--registry-mirror', 'http://a', '--registry-mirror', 'http://b'), {
    message: /^--registry-mirror http:\/\/b: there is another mirror/,
  })
  assert.throws(() => parse('--image-proxy', 'proxy:3128'), { kind: 'Invalid', message: /^--image-proxy/ })
})
