import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Secret } from '#apis/core/secret.ts'
import type { ServiceAccount } from '#apis/core/serviceaccount.ts'
import type { Stored } from '#apis/meta/object.ts'
import { fromBase64, toBase64 } from '#base/base64.ts'
import { accountKeyOf, filledTokenSecret, isAccountOf, tokenSecretType } from './token-secret.ts'

const meta = (name: string, uid: string) => ({ namespace: 'a', name, uid, resourceVersion: '1', creationTimestamp: '' })
const account: Stored<ServiceAccount> = {
  apiVersion: 'v1',
  kind: 'ServiceAccount',
  metadata: meta('bot', 'u1'),
}
const nameKey = 'kubernetes.io/service-account.name'
const uidKey = 'kubernetes.io/service-account.uid'
const secret = (over: Partial<Secret> = {}, annotations: Readonly<Record<string, string>> = { [nameKey]: 'bot' }) => ({
  ...{ apiVersion: 'v1', kind: 'Secret', type: tokenSecretType },
  ...over,
  metadata: { ...meta('s', 's1'), annotations },
})
const source = { authority: () => 'authority', issueFor: () => 'new token' }
const textsOf = (one: Stored<Secret> | undefined) =>
  one && Object.fromEntries(Object.entries(one.data ?? {}).map(([key, value]) => [key, fromBase64(value)]))

test('base64 takes any text there and back', () => {
  for (const text of ['', 'a', 'é', '\u{1F600}\0']) assert.equal(fromBase64(toBase64(text)), text)
  assert.equal(toBase64('é'), 'w6k=')
})

test('a Secret names its ServiceAccount by name, and by uid once that is noted', () => {
  assert.deepEqual(accountKeyOf(secret()), { namespace: 'a', name: 'bot' })
  assert.equal(accountKeyOf(secret({ type: 'Opaque' })), undefined)
  assert.ok(isAccountOf(secret(), account))
  assert.ok(isAccountOf(secret({}, { [nameKey]: 'bot', [uidKey]: 'u1' }), account))
  assert.ok(!isAccountOf(secret({}, { [nameKey]: 'bot', [uidKey]: 'u2' }), account))
  assert.ok(!isAccountOf(secret({}, { [nameKey]: 'other' }), account))
  assert.ok(!isAccountOf(secret({ type: 'Opaque' }), account))
  const elsewhere = { ...account, metadata: { ...account.metadata, namespace: 'b' } }
  assert.ok(!isAccountOf(secret(), elsewhere))
})

test('a Secret gets what it lacks: token, authority, namespace and the uid of its ServiceAccount', () => {
  const whole = { token: 'new token', namespace: 'a', 'ca.crt': 'authority' }
  const filled = filledTokenSecret(secret(), account, source)
  assert.deepEqual(textsOf(filled), whole)
  assert.deepEqual(filled?.metadata.annotations, { [nameKey]: 'bot', [uidKey]: 'u1' })
  assert.equal(filledTokenSecret(filled!, account, source), undefined, 'filled once')
  const { token: _, ...rest } = filled?.data ?? {}
  assert.deepEqual(textsOf(filledTokenSecret({ ...filled!, data: rest }, account, source)), whole)
  const kept = { ...filled!, data: { ...filled?.data, token: toBase64('old token') } }
  assert.equal(filledTokenSecret(kept, account, source), undefined)
  const renewed = { ...source, authority: () => 'new authority' }
  const { token, 'ca.crt': ca } = textsOf(filledTokenSecret(kept, account, renewed)) ?? {}
  assert.deepEqual([token, ca], ['old token', 'new authority'])
})

test('a Secret is not filled for another ServiceAccount, while it is being deleted, or when it is immutable', () => {
  assert.equal(filledTokenSecret(secret({}, { [nameKey]: 'other' }), account, source), undefined)
  assert.equal(filledTokenSecret(secret({ type: 'Opaque' }), account, source), undefined)
  assert.equal(filledTokenSecret(secret({ immutable: true }), account, source), undefined)
  const going = { ...secret(), metadata: { ...secret().metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } }
  assert.equal(filledTokenSecret(going, account, source), undefined)
})
