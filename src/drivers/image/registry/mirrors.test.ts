import assert from 'node:assert/strict'
import { test } from 'node:test'
import { endpointOf, repositoryUrl } from './mirrors.ts'

const mirrors = new Map([
  ['quay.io', new URL('http://mirror:5000')],
  ['ghcr.io', new URL('https://proxy.example/cache/ghcr/')],
])
const url = (host: string, all: ReadonlyMap<string, URL>) => repositoryUrl(endpointOf(host, all), 'a/b')

test('a registry is reached at its host, by TLS unless that is loopback', () => {
  assert.equal(url('quay.io', new Map()), 'https://quay.io/v2/a/b')
  assert.equal(url('docker.io', new Map()), 'https://registry-1.docker.io/v2/a/b')
  assert.equal(url('registry:5000', new Map()), 'https://registry:5000/v2/a/b')
  for (const host of ['localhost', 'localhost:5000', '127.0.0.1:5000', '[::1]:5000'])
    assert.equal(url(host, new Map()), `http://${host}/v2/a/b`)
})

test('a mirror takes its place, with its own path in front', () => {
  assert.equal(url('quay.io', mirrors), 'http://mirror:5000/v2/a/b')
  assert.equal(url('ghcr.io', mirrors), 'https://proxy.example/v2/cache/ghcr/a/b')
  assert.equal(url('docker.io', mirrors), 'https://registry-1.docker.io/v2/a/b')
  const all = new Map([...mirrors, ['*', new URL('http://all:5000')]])
  assert.equal(url('docker.io', all), 'http://all:5000/v2/a/b')
  assert.equal(url('quay.io', all), 'http://mirror:5000/v2/a/b')
})

test('credentials are looked up by the host that is asked', () => {
  assert.equal(endpointOf('quay.io', mirrors).host, 'mirror:5000')
  assert.equal(endpointOf('docker.io', mirrors).host, 'docker.io')
})
