import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Secret } from '#apis/core/secret.ts'
import { secretErrors } from './config.ts'

const base64 = (text: string) => Buffer.from(text).toString('base64')
const errorsOf = (
  type: string,
  data: Readonly<Record<string, string>>,
  annotations: Readonly<Record<string, string>> = {},
) => {
  const encoded = Object.fromEntries(Object.entries(data).map(([key, text]) => [key, base64(text)]))
  const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 's', annotations }, type, data: encoded }
  return secretErrors(secret as Secret, undefined).map(({ field, reason }) => `${reason} ${field}`)
}

const docker = '{"auths":{"r.example":{"auth":"eA=="}}}'
const account = 'kubernetes.io/service-account-token'
const rows: readonly [what: string, type: string, data: Record<string, string>, errors: readonly string[]][] = [
  ['registry credentials', 'kubernetes.io/dockerconfigjson', { '.dockerconfigjson': docker }, []],
  ['old registry credentials', 'kubernetes.io/dockercfg', { '.dockercfg': '{}' }, []],
  ...['', 'x', '{', '[]', '5', '{"a":1} x'].map((text): [string, string, Record<string, string>, string[]] => [
    `registry credentials that are ${JSON.stringify(text)}`,
    'kubernetes.io/dockerconfigjson',
    { '.dockerconfigjson': text },
    ['FieldValueInvalid data[.dockerconfigjson]'],
  ]),
  ['no registry credentials', 'kubernetes.io/dockercfg', { a: 'b' }, ['FieldValueRequired data[.dockercfg]']],
  ['half of a certificate', 'kubernetes.io/tls', { 'tls.crt': 'x' }, ['FieldValueRequired data[tls.key]']],
  ['a user', 'kubernetes.io/basic-auth', { username: 'u' }, []],
  [
    'neither user nor password',
    'kubernetes.io/basic-auth',
    { a: 'b' },
    ['FieldValueRequired data[username]', 'FieldValueRequired data[password]'],
  ],
  [
    'a token of no account',
    account,
    {},
    ['FieldValueRequired metadata.annotations[kubernetes.io/service-account.name]'],
  ],
  ['anything of another type', 'example.com/mine', { '.dockerconfigjson': 'x' }, []],
]
for (const [what, type, data, errors] of rows)
  test(`a Secret of type ${type} with ${what} is ${errors.length ? 'refused' : 'taken'}`, () => {
    assert.deepEqual(errorsOf(type, data), errors)
  })

test('a Secret for the token of an account names it, and no refusal repeats what is secret', () => {
  assert.deepEqual(errorsOf(account, {}, { 'kubernetes.io/service-account.name': 'default' }), [])
  const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 's' }, type: 'kubernetes.io/dockerconfigjson' }
  const [error] = secretErrors({ ...secret, data: { '.dockerconfigjson': base64('hunter2') } }, undefined)
  assert.doesNotMatch(error?.message ?? '', /hunter2/)
})
