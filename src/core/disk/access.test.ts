import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DataVolumeSource } from '#apis/cdi/datavolume.ts'
import { toBase64 } from '#base/base64.ts'
import { accessOf, accessSources } from './access.ts'
import { dockerCredentials } from './docker-config.ts'
import { parseHeader } from './headers.ts'

type Texts = Readonly<Record<string, Readonly<Record<string, string>>>>

const pem = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----'

function access(source: DataVolumeSource, secrets: Texts = {}, configMaps: Texts = {}) {
  const dv = { metadata: { name: 'd', namespace: 'ns' }, spec: { source } }
  const of = (all: Texts) => (name: string) => {
    const found = all[name]
    return found && new Map(Object.entries(found).map(([key, text]) => [key, new TextEncoder().encode(text)]))
  }
  return accessOf(dv, { secret: of(secrets), configMap: of(configMaps) })
}

const url = 'https://images.example/disk'
const user = { accessKeyId: 'joe', secretKey: 'pass:word' }
const login = { username: 'joe', password: 'pass:word' }

test('a source that names nothing needs nothing', () => {
  assert.deepEqual(access({ http: { url } }), {})
  assert.deepEqual(access({ registry: { url: 'docker://registry.example/a' } }), {})
})

test('a web server gets the user, the headers and the trust of its source, which are of the namespace', () => {
  const http = { url, secretRef: 's', certConfigMap: 'c', extraHeaders: ['X-One: 1'], secretExtraHeaders: ['h'] }
  const headers = { h: { any: 'X-Token:  hidden \n' } }
  assert.deepEqual(access({ http }, { s: user, ...headers }, { c: { 'a.crt': pem, 'b.crt': pem } }), {
    access: { login, headers: { 'x-one': '1', 'x-token': 'hidden' }, ca: `${pem}\n${pem}`, scope: 'ns' },
  })
  const names = accessSources({ spec: { source: { http } } }).map(({ kind, name }) => `${kind}/${name}`)
  assert.deepEqual(names, ['Secret/s', 'ConfigMap/c', 'Secret/h'])
})

test('a registry gets a user, or the one that a configuration of docker has for it', () => {
  const registry = { url: 'docker://registry.example/a', secretRef: 's' }
  assert.deepEqual(access({ registry }, { s: user }), { access: { login, scope: 'ns' } })
  const config = JSON.stringify({ auths: { 'registry.example': { auth: toBase64('joe:pass:word') } } })
  const found = access({ registry }, { s: { '.dockerconfigjson': config } })
  assert.deepEqual(found, { access: { scope: 'ns' }, credentials: new Map([['registry.example', login]]) })
  // A web server has no such configuration.
  assert.ok('waits' in access({ http: { url, secretRef: 's' } }, { s: { '.dockerconfigjson': config } }))
})

test('all that is missing or of no use is waited for, in sentences without a secret', () => {
  const http = { url, secretRef: 'none', certConfigMap: 'c', extraHeaders: ['nonsense'], secretExtraHeaders: ['h'] }
  const waits = access({ http }, { h: { token: 'hidden-without-a-name' } }, { c: { 'a.crt': 'hidden' } })
  assert.deepEqual(waits, {
    waits: [
      'Secret ns/none does not exist, waiting for it to appear',
      'ConfigMap ns/c has no certificate: its keys are files of certificates (PEM)',
      'extraHeaders[0] is no header that can be sent: write it like NAME: VALUE',
      'token of Secret ns/h is no header that can be sent: write it like NAME: VALUE',
    ].join('; '),
  })
  const half = access({ registry: { url: 'docker://r/a', secretRef: 's' } }, { s: { secretKey: 'hidden' } })
  assert.match(JSON.stringify(half), /^{"waits":"Secret ns\/s has no credentials: give it the keys accessKeyId and /)
  assert.doesNotMatch(JSON.stringify(half), /hidden/)
})

test('a header is a name and a value, and none that the transfer needs itself', () => {
  assert.deepEqual(parseHeader('Authorization: Bearer a:b'), ['authorization', 'Bearer a:b'])
  assert.deepEqual(parseHeader('X-Empty:'), ['x-empty', ''])
  for (const bad of [
    '',
    'none',
    ': x',
    'a b: c',
    'a: b\r\nc: d',
    'Host: evil.example',
    'range: bytes=0-1',
    'a: \u2713',
  ])
    assert.equal(parseHeader(bad), undefined, bad)
})

test('a configuration of docker is read in either form; entries that have no password are left out', () => {
  const config = {
    auths: {
      'https://one.example/v1/': { auth: toBase64('joe:pass:word'), username: 'other', password: 'x' },
      'two.example:5000': { username: 'ann', password: 'x' },
      'three.example': { auth: 'no base64!' },
      'four.example': 'nonsense',
      'five.example': { auth: toBase64('nocolon') },
    },
  }
  assert.deepEqual(
    [...(dockerCredentials(JSON.stringify(config)) ?? [])],
    [
      ['https://one.example/v1/', login],
      ['two.example:5000', { username: 'ann', password: 'x' }],
    ],
  )
  for (const bad of ['', 'null', '{}', '[]', '{"auths":[]}', '{']) assert.equal(dockerCredentials(bad), undefined, bad)
})
