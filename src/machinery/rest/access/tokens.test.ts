import assert from 'node:assert/strict'
import { generateKeyPairSync, sign } from 'node:crypto'
import { test } from 'node:test'
import { faultIn } from '#kit/machinery/rest/rest-kit.ts'
import { issuer } from './authenticate.ts'
import { staticTokens } from './static-tokens.ts'
import { ServiceAccountTokens } from './tokens.ts'

const newKey = () =>
  generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
const bot = { namespace: 'a', name: 'bot', uid: 'u1' }

function open(key = newKey()) {
  const accounts = new Map([['a/bot', 'u1']])
  const clock = { ms: 1_800_000_000_000 }
  const uidOf = async (namespace: string, name: string) => accounts.get(`${namespace}/${name}`)
  const secrets = new Map<string, { uid: string; token: string }>()
  const secretOf = async (namespace: string, name: string) => secrets.get(`${namespace}/${name}`)
  const tokens = new ServiceAccountTokens({ key, uidOf, secretOf, nowMs: () => clock.ms })
  return { accounts, secrets, clock, tokens, key }
}

test('a token names its ServiceAccount until it expires', async () => {
  const { tokens, clock } = open()
  const { token, expiresMs } = tokens.issue(bot, [issuer], 600)
  assert.equal(expiresMs, clock.ms + 600_000)
  const user = await tokens.userOf(token)
  assert.equal(user?.name, 'system:serviceaccount:a:bot')
  assert.deepEqual(user?.groups, ['system:serviceaccounts', 'system:serviceaccounts:a'])
  assert.equal(user?.uid, 'u1')
  const claims = JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString())
  assert.deepEqual([claims.sub, claims.aud], ['system:serviceaccount:a:bot', [issuer]])
  clock.ms += 600_000
  assert.equal(await tokens.userOf(token), undefined)
})

test('a token is refused without its ServiceAccount, for another audience, and from another key', async () => {
  const { tokens, accounts, clock } = open()
  const { token } = tokens.issue(bot, [issuer], 600)
  assert.equal(await tokens.userOf(tokens.issue(bot, ['vault'], 600).token), undefined)
  const vault = tokens.issue(bot, ['vault'], 600).token
  assert.equal((await tokens.userOf(vault, 'vault'))?.uid, 'u1')
  assert.equal(await tokens.userOf(token, 'vault'), undefined)
  assert.equal(await open().tokens.userOf(token), undefined)
  accounts.set('a/bot', 'u2')
  assert.equal(await tokens.userOf(token), undefined)
  accounts.delete('a/bot')
  assert.equal(await tokens.userOf(token), undefined)
  accounts.set('a/bot', 'u1')
  assert.ok(await tokens.userOf(token))
  clock.ms -= 60_000
  assert.equal(await tokens.userOf(token), undefined)
})

test('a token that was tampered with is refused', async () => {
  const { tokens } = open()
  const [header = '', payload = '', signature = ''] = tokens.issue(bot, [issuer], 600).token.split('.')
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString())
  for (const bad of [
    `${header}.${encode({ ...claims, sub: 'x', 'kubernetes.io': { namespace: 'a' } })}.${signature}`,
    `${encode({ alg: 'none' })}.${payload}.${signature}`,
    `${encode({ alg: 'none' })}.${payload}.`,
    `${header}.${payload}.`,
    `${header}.${payload}.${signature.slice(4)}`,
    `${header}.${payload}.${signature}.x`,
    '',
    '..',
    'x',
  ])
    assert.equal(await tokens.userOf(bad), undefined, bad)
})

/** A token that the Secret a/s holds. */
function openWithSecret(key?: string) {
  const opened = open(key)
  const token = opened.tokens.issueFor(bot, { name: 's', uid: 's1' })
  opened.secrets.set('a/s', { uid: 's1', token })
  return { ...opened, token }
}
const claimsIn = (token: string) => JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString())

test('the token of a Secret names its ServiceAccount and never expires', async () => {
  const { tokens, clock, token } = openWithSecret()
  const { exp, nbf, ...claims } = claimsIn(token)
  assert.deepEqual([exp, nbf], [undefined, undefined])
  assert.deepEqual(claims['kubernetes.io'], {
    namespace: 'a',
    secret: { name: 's', uid: 's1' },
    serviceaccount: { name: 'bot', uid: 'u1' },
  })
  for (const ms of [clock.ms, 0, clock.ms * 100]) {
    clock.ms = ms
    const user = await tokens.userOf(token)
    assert.deepEqual([user?.name, user?.uid], ['system:serviceaccount:a:bot', 'u1'])
  }
  assert.equal(await tokens.userOf(token, 'vault'), undefined)
})

test('the token of a Secret is as good as that very Secret, which holds it, and its ServiceAccount', async () => {
  const { tokens, accounts, secrets, token } = openWithSecret()
  const changes: readonly (readonly [what: string, change: () => void])[] = [
    ['the Secret is deleted', () => secrets.delete('a/s')],
    ['the Secret was made again', () => secrets.set('a/s', { uid: 's2', token })],
    ['the token was taken out of it', () => secrets.set('a/s', { uid: 's1', token: '' })],
    [
      'the Secret has another token',
      () => secrets.set('a/s', { uid: 's1', token: tokens.issueFor(bot, { name: 's', uid: 's1' }) }),
    ],
    [
      'it is in the namespace beside only',
      () => {
        secrets.delete('a/s')
        secrets.set('b/s', { uid: 's1', token })
      },
    ],
    ['the ServiceAccount is deleted', () => accounts.delete('a/bot')],
    ['the ServiceAccount was made again', () => accounts.set('a/bot', 'u2')],
  ]
  for (const [what, change] of changes) {
    assert.ok(await tokens.userOf(token))
    change()
    assert.equal(await tokens.userOf(token), undefined, what)
    secrets.set('a/s', { uid: 's1', token })
    accounts.set('a/bot', 'u1')
  }
  assert.equal(await openWithSecret().tokens.userOf(token), undefined, 'another key')
})

test('the token of a Secret that was tampered with is refused, even if the Secret holds it so', async () => {
  const { tokens, secrets, token } = openWithSecret()
  const [header = '', payload = '', signature = ''] = token.split('.')
  const claims = claimsIn(token)
  const own = claims['kubernetes.io']
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const withOwn = (more: object) => encode({ ...claims, 'kubernetes.io': { ...own, ...more } })
  for (const bad of [
    `${header}.${withOwn({ secret: undefined })}.${signature}`,
    `${header}.${withOwn({ namespace: 'b' })}.${signature}`,
    `${header}.${withOwn({ serviceaccount: { name: 'root', uid: 'u1' } })}.${signature}`,
    `${header}.${payload}.${'A'.repeat(signature.length)}`,
    `${encode({ alg: 'none' })}.${payload}.`,
  ]) {
    secrets.set('a/s', { uid: 's1', token: bad })
    assert.equal(await tokens.userOf(bad), undefined, bad)
  }
})

test('a signed token without an expiry and without a whole Secret is refused', async () => {
  const { tokens, secrets, clock, key, token } = openWithSecret()
  const [header = ''] = token.split('.')
  const claims = claimsIn(token)
  const signedWith = (more: object, times: object = {}) => {
    const payload = { ...claims, ...times, 'kubernetes.io': { ...claims['kubernetes.io'], ...more } }
    const signed = `${header}.${Buffer.from(JSON.stringify(payload)).toString('base64url')}`
    const signature = sign('sha256', Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' })
    return `${signed}.${signature.toString('base64url')}`
  }
  const accepts = (one: string) => {
    secrets.set('a/s', { uid: 's1', token: one })
    return tokens.userOf(one)
  }
  assert.ok(await accepts(signedWith({})))
  for (const more of [{ secret: undefined }, { secret: null }, { secret: { name: 's' } }, { secret: 's' }])
    assert.equal(await accepts(signedWith(more)), undefined, JSON.stringify(more))
  const times = { nbf: clock.ms / 1000, exp: clock.ms / 1000 + 600 }
  assert.equal(await accepts(signedWith({ secret: { name: 's' } }, times)), undefined, 'half a Secret and an expiry')
  const both = signedWith({}, times)
  assert.ok(await accepts(both))
  clock.ms += 600_000
  assert.equal(await accepts(both), undefined, 'an expiry ends one that a Secret holds')
})

test('the token file is read as kube-apiserver reads it', async () => {
  const reader = staticTokens('# comment\n\nt1,jane,1\nt2,joe,2,"a,b"\r\nt3,ann,,solo\n"t""4",bob,4\nt1,jill,9\n')
  assert.deepEqual(await reader.userOf('t1'), { name: 'jill', uid: '9', groups: [] })
  assert.deepEqual(await reader.userOf('t2'), { name: 'joe', uid: '2', groups: ['a', 'b'] })
  assert.deepEqual(await reader.userOf('t3'), { name: 'ann', groups: ['solo'] })
  assert.equal((await reader.userOf('t"4'))?.name, 'bob')
  for (const unknown of ['', 'jane', '# comment']) assert.equal(await reader.userOf(unknown), undefined)
  for (const bad of ['secret', 'secret,jane', ',jane,1', 'secret,,1']) {
    const { message } = await faultIn(() => staticTokens(`t,x,1\n${bad}`))
    assert.match(message, /^Line 2 of the token file is not/)
    assert.ok(!message.includes('secret'))
  }
})
