import assert from 'node:assert/strict'
import { test } from 'node:test'
import { dockerCredentials } from '#core/disk/docker-config.ts'
import { credentialFor } from './credentials.ts'

const auth = Buffer.from('me:se:cret').toString('base64')
const me = { username: 'me', password: 'se:cret' }

test('a config of docker login has credentials by host', () => {
  const config = {
    auths: {
      'quay.io': { auth },
      'https://index.docker.io/v1/': { username: 'me', password: 'se:cret' },
      'helped.example': {},
      'broken.example': { auth: 'AAAA' },
      'odd.example': 'x',
    },
    credsStore: 'desktop',
  }
  const all = dockerCredentials(JSON.stringify(config))
  assert.deepEqual([...(all?.keys() ?? [])], ['quay.io', 'https://index.docker.io/v1/'])
  assert.deepEqual(credentialFor(all, 'quay.io'), me)
  for (const host of ['docker.io', 'registry-1.docker.io']) assert.deepEqual(credentialFor(all, host), me)
  for (const host of ['helped.example', 'evil-quay.io', 'quay.io.evil.example', 'quay.io:444'])
    assert.equal(credentialFor(all, host), undefined, host)
  assert.equal(credentialFor(undefined, 'quay.io'), undefined)
})

test('a port belongs to the host', () => {
  const all = new Map([['registry:5000', me]])
  assert.deepEqual(credentialFor(all, 'registry:5000'), me)
  assert.equal(credentialFor(all, 'registry'), undefined)
})
