import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { ServiceAccountTokens } from '#machinery/rest/access/tokens.ts'
import { PageTokens, type Session } from './tokens.ts'

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
const hourMs = 3_600_000

function open() {
  const clock = { ms: 1_700_000_000_000 }
  const accounts = new Map([['a/bot', 'u1']])
  const uidOf = async ({ namespace, name }: { namespace: string; name: string }) => accounts.get(`${namespace}/${name}`)
  const nowMs = () => clock.ms
  const service = new ServiceAccountTokens({
    key,
    uidOf: (namespace, name) => uidOf({ namespace, name }),
    secretOf: async () => undefined,
    nowMs,
  })
  return { clock, accounts, service, tokens: new PageTokens({ key, uidOf, nowMs }) }
}

const user = { name: 'jane', uid: 'x', groups: ['admins', 'system:authenticated'], extra: { 'a/b': ['c'] } }
const session = (endMs: number, more: Partial<Session> = {}): Session => ({ user, endMs, ties: [], ...more })

test('the token of a page is its user, whole, for an hour', async () => {
  const { clock, tokens } = open()
  const { token, expiresMs } = tokens.issue(session(clock.ms + 12 * hourMs))
  assert.equal(expiresMs, clock.ms + hourMs)
  assert.deepEqual(await tokens.userOf(token), user)
  assert.equal(await tokens.userOf(token, 'another'), undefined)
  assert.deepEqual(await tokens.sessionOf(token), session(clock.ms + 12 * hourMs))
  clock.ms += hourMs
  assert.equal(await tokens.userOf(token), undefined)
})

test('no token of a page outlives its session', async () => {
  const { clock, tokens } = open()
  const { token, expiresMs } = tokens.issue(session(clock.ms + 60_000))
  assert.equal(expiresMs, clock.ms + 60_000)
  clock.ms += 60_000
  assert.equal(await tokens.userOf(token), undefined)
})

test('it ends with each account that its session is tied to', async () => {
  const { clock, tokens, accounts } = open()
  const ties = [{ kind: 'ServiceAccount', namespace: 'a', name: 'bot', uid: 'u1' }] as const
  const { token } = tokens.issue(session(clock.ms + hourMs, { ties }))
  assert.deepEqual(await tokens.userOf(token), user)
  for (const uid of ['u2', undefined]) {
    if (uid === undefined) accounts.clear()
    else accounts.set('a/bot', uid)
    assert.equal(await tokens.userOf(token), undefined)
  }
})

test('it is no token of a ServiceAccount, and such a one is none of a page, though one key signs both', async () => {
  const { clock, tokens, service } = open()
  const { token } = tokens.issue(session(clock.ms + hourMs))
  assert.equal(await service.userOf(token), undefined)
  const other = service.issue({ namespace: 'a', name: 'bot', uid: 'u1' }, ['https://patchbay.dev/page'], 600).token
  assert.equal(await tokens.userOf(other), undefined)
})

test('one that was changed, or has another signature, is refused', async () => {
  const { clock, tokens } = open()
  const [header = '', payload = '', signature = ''] = tokens.issue(session(clock.ms + hourMs)).token.split('.')
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString())
  const root = Buffer.from(JSON.stringify({ ...claims, sub: 'root' })).toString('base64url')
  for (const bad of [
    `${header}.${root}.${signature}`,
    `${header}.${payload}.`,
    `${Buffer.from('{"alg":"none"}').toString('base64url')}.${payload}.`,
    `${header}.${payload}.${'A'.repeat(signature.length)}`,
    '',
    'x.y.z',
  ])
    assert.equal(await tokens.userOf(bad), undefined, bad)
})
