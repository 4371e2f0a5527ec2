import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Secret } from '#apis/core/secret.ts'
import { faultKind } from '#base/fault.ts'
import type { Client } from '#machinery/client/client.ts'
import { groupsIn, passwordKey, passwordSecret, signIn } from './accounts.ts'

const secrets = new Map<string, Secret>()
const client = {
  get: async (_kind: unknown, { name }: { name: string }) => {
    const found = secrets.get(name)
    return found && { ...found, metadata: { ...found.metadata, uid: 'u', resourceVersion: '1', creationTimestamp: '' } }
  },
} as unknown as Client

describe('passwords', () => {
  const check = signIn(client, [])

  it('sign in their user, in our domain or in none, with the groups they were made with', async () => {
    secrets.set(passwordKey('jane').name, await passwordSecret({ name: 'jane', groups: ['ops'], password: 'sésame' }))
    for (const login of ['jane', 'jane@internal']) {
      const credential = await check(login, 'sésame')
      assert.deepEqual(credential?.account, {
        user: { name: 'jane', groups: ['ops', 'system:authenticated'] },
        name: 'jane@internal',
      })
      assert.equal(await credential.isGood(), true)
    }
    for (const [login, password] of [
      ['jane', 'sesame'],
      ['jane', ''],
      ['jane@elsewhere', 'sésame'],
      ['@internal', 'sésame'],
      ['john', 'sésame'],
    ] as const)
      assert.equal(await check(login, password), undefined, `${login} ${password}`)
  })

  it('are not kept, and no two Secrets of one are alike', async () => {
    const [one, other] = await Promise.all(
      [1, 2].map(() => passwordSecret({ name: 'a', groups: [], password: 'same' })),
    )
    assert.notEqual(one?.data?.hash, other?.data?.hash)
    const decoded = Object.values(one?.data ?? {}).map((text) => Buffer.from(text, 'base64').toString())
    assert.ok(!decoded.some((text) => text.includes('same')))
    assert.deepEqual(groupsIn(undefined), [])
  })

  it('are checked one after the other, and no endless queue of them waits', async () => {
    const outcomes = await Promise.allSettled(Array.from({ length: 40 }, () => check('jane', 'wrong')))
    const refused = outcomes.filter((one) => one.status === 'rejected').map(({ reason }) => faultKind(reason))
    assert.ok(refused.length > 0 && refused.length < 40)
    assert.deepEqual(new Set(refused), new Set(['TooMany']))
    assert.ok(await check('jane', 'sésame'))
  })
})
