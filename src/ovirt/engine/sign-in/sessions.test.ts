import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Attempts } from '#machinery/rest/access/attempts.ts'
import { type Credential, Sessions, sessionMs } from './sessions.ts'

const account = { user: { name: 'jane', groups: [] }, name: 'jane@internal' }

describe('sessions', () => {
  const world = () => {
    const clock = { ms: 1_000_000 }
    const state = { isGood: true }
    const credential: Credential = { account, isGood: async () => state.isGood }
    return { clock, state, credential, sessions: new Sessions(() => clock.ms) }
  }

  it('last as long as they are used', async () => {
    const { clock, credential, sessions } = world()
    const { secret, endMs } = sessions.begin(credential)
    assert.equal(endMs, clock.ms + sessionMs)
    for (let i = 0; i < 3; i++) {
      clock.ms += sessionMs - 1
      assert.equal(await sessions.accountOf(secret), account)
    }
    clock.ms += sessionMs
    assert.equal(await sessions.accountOf(secret), undefined)
    clock.ms -= sessionMs
    assert.equal(await sessions.accountOf(secret), undefined, 'one that has ended is gone')
  })

  it('end at sign-out, and with what their user signed in with', async () => {
    const { state, credential, sessions } = world()
    const [one, other] = [sessions.begin(credential), sessions.begin(credential)]
    sessions.end(one.secret)
    assert.equal(await sessions.accountOf(one.secret), undefined)
    assert.equal(await sessions.accountOf(other.secret), account)
    state.isGood = false
    assert.equal(await sessions.accountOf(other.secret), undefined)
    state.isGood = true
    assert.equal(await sessions.accountOf(other.secret), undefined)
  })

  it('have secrets that are no two alike, and none that was not given', async () => {
    const { credential, sessions } = world()
    const secrets = new Set(Array.from({ length: 50 }, () => sessions.begin(credential).secret))
    assert.equal(secrets.size, 50)
    for (const secret of ['', 'x', ...[...secrets].map((one) => one.slice(1))])
      assert.equal(await sessions.accountOf(secret), undefined)
  })

  it('are so many at most, and the one not used for longest goes first', async () => {
    const { credential, sessions } = world()
    sessions.remember('first', credential)
    sessions.remember('second', credential)
    for (let i = 0; i < 9_998; i++) sessions.remember(`more ${i}`, credential)
    assert.equal(await sessions.accountOf('first'), account)
    sessions.remember('last', credential)
    assert.equal(await sessions.accountOf('second'), undefined)
    assert.equal(await sessions.accountOf('first'), account)
  })
})

describe('attempts to sign in', () => {
  it('are looked at ten times a minute for each user and address, when they fail', () => {
    const clock = { ms: 1_000_000 }
    const attempts = new Attempts(() => clock.ms)
    for (let i = 0; i < 10; i++) {
      assert.equal(attempts.waitSeconds('jane', '::1'), 0)
      attempts.failed('jane', '::1')
    }
    assert.equal(attempts.waitSeconds('jane', '::1'), 60)
    assert.equal(attempts.waitSeconds('jane', '::2'), 0)
    assert.equal(attempts.waitSeconds('john', '::1'), 0)
    clock.ms += 59_000
    assert.equal(attempts.waitSeconds('jane', '::1'), 1)
    clock.ms += 1_000
    assert.equal(attempts.waitSeconds('jane', '::1'), 0)
    // The minute begins anew.
    attempts.failed('jane', '::1')
    assert.equal(attempts.waitSeconds('jane', '::1'), 0)
  })

  it('are forgotten when one succeeds', () => {
    const attempts = new Attempts(() => 0)
    for (let i = 0; i < 10; i++) attempts.failed('jane', '::1')
    attempts.succeeded('jane', '::1')
    assert.equal(attempts.waitSeconds('jane', '::1'), 0)
  })
})
