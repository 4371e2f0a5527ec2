import assert from 'node:assert/strict'
import { test } from 'node:test'
import { agentCredentials, agentSecrets, credentialEvent, withCredentialSync } from './access-credentials.ts'

const now = '2026-01-01T00:00:00Z'
const source = (secretName: string) => ({ secret: { secretName } })
const sshTo = (secretName: string, users: string[]) => ({
  sshPublicKey: { source: source(secretName), propagationMethod: { qemuGuestAgent: { users } } },
})
const accessCredentials = [
  sshTo('team', ['root', 'joe']),
  sshTo('joe', ['joe']),
  { userPassword: { source: source('passwords'), propagationMethod: { qemuGuestAgent: {} } } },
  { sshPublicKey: { source: source('by-cloud-init'), propagationMethod: { noCloud: {} } } },
]
const secrets = new Map(
  Object.entries({
    team: { b: 'key-b\n', a: ' key-a \n\nkey-a2' },
    joe: { own: 'key-joe\nkey-a' },
    passwords: { root: 'toor\n', joe: ' p w ' },
  }).map(([name, keys]) => [
    name,
    new Map(Object.entries(keys).map(([key, text]) => [key, new TextEncoder().encode(text)])),
  ]),
)

test('the agent sets all keys of each user, and the passwords of the users that a Secret names', () => {
  assert.deepEqual(agentSecrets({ accessCredentials }), ['team', 'joe', 'passwords'])
  assert.deepEqual(
    agentCredentials({ accessCredentials }, (name) => secrets.get(name)),
    {
      keys: new Map([
        ['root', ['key-a', 'key-a2', 'key-b']],
        ['joe', ['key-a', 'key-a2', 'key-b', 'key-joe']],
      ]),
      passwords: new Map([
        ['joe', ' p w '],
        ['root', 'toor'],
      ]),
    },
  )
})

test('Secrets that are missing are named, all of them', () => {
  const found = agentCredentials({ accessCredentials }, (name) => (name === 'joe' ? secrets.get(name) : undefined))
  assert.deepEqual(found, { problem: 'Secrets not found, waiting for them to appear: team, passwords' })
})

test('a condition says whether they are set, and an Event when that changes', () => {
  const failed = { isDone: false, message: 'm' } as const
  const bad = withCredentialSync([], failed, now)
  assert.deepEqual(bad, [
    { type: 'AccessCredentialsSynchronized', status: 'False', message: 'm', lastTransitionTime: now },
  ])
  const good = withCredentialSync(bad, { isDone: true }, now)
  assert.deepEqual(good?.[0]?.status, 'True')
  assert.equal(withCredentialSync(good, undefined, now), good)
  assert.equal(credentialEvent({}, failed)?.message, 'Access credentials sync failed: m')
  assert.equal(credentialEvent({ conditions: bad }, failed), undefined)
  assert.equal(credentialEvent({ conditions: bad }, { ...failed, message: 'other' })?.type, 'Warning')
  assert.equal(credentialEvent({ conditions: bad }, { isDone: true })?.reason, 'AccessCredentialsSyncSuccess')
  for (const sync of [undefined, { isDone: true } as const])
    assert.equal(credentialEvent({ conditions: good }, sync), undefined)
})
