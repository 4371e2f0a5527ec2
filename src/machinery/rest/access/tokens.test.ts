import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
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
  return { accounts, clock, tokens: new ServiceAccountTokens({ key, uidOf, nowMs: () => clock.ms }) }
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
