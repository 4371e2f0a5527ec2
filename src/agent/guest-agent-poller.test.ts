import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { GuestInterface } from '#core/nic/status.ts'
import type { GuestAgent } from '#core/ports.ts'
import type { GuestInfo } from '#core/vm/guest-info.ts'
import { GuestAgentPoller } from './guest-agent-poller.ts'

const eth0: readonly GuestInterface[] = [{ name: 'eth0', mac: '02:00:00:00:00:01', ips: ['10.0.0.1'] }]

/** Time that a test lets pass by hand, and a guest that answers as told. */
function open(t: TestContext) {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const stop = new AbortController()
  const news: string[] = []
  const guest = {
    answer: undefined as readonly GuestInterface[] | Error | undefined,
    asked: 0,
    info: undefined as GuestInfo | Error | undefined,
    askedInfo: 0,
  }
  const interfaces = async () => {
    guest.asked++
    if (guest.answer instanceof Error) throw guest.answer
    return guest.answer
  }
  const info = async () => {
    guest.askedInfo++
    if (guest.info instanceof Error) throw guest.info
    return guest.info
  }
  const agent = { interfaces, info } as unknown as GuestAgent
  const current = { agent: agent as GuestAgent | undefined }
  const guests = new GuestAgentPoller(
    () => current.agent,
    (uid) => news.push(uid),
    stop.signal,
  )
  const pass = async (ms: number) => {
    t.mock.timers.tick(ms)
    await new Promise(setImmediate)
  }
  return { guests, guest, current, news, stop, pass }
}

test('a guest is asked soon after a cause, then less and less often, and never left alone for good', async (t) => {
  const { guests, guest, pass } = open(t)
  guests.ask('a')
  for (const [i, ms] of [200, 300, 500, 1000, 2000, 4000, 8000, 30_000, 30_000].entries()) {
    await pass(ms - 1)
    assert.equal(guest.asked, i, `not yet after ${ms - 1} ms`)
    await pass(1)
    assert.equal(guest.asked, i + 1)
  }
})

test('what a guest says is news once', async (t) => {
  const { guests, guest, news, pass } = open(t)
  guest.answer = eth0
  guests.ask('a')
  assert.equal(guests.known('a'), undefined)
  await pass(200)
  assert.deepEqual([guests.known('a'), news], [eth0, ['a']])
  guest.answer = structuredClone(eth0)
  await pass(300)
  assert.deepEqual([guest.asked, news], [2, ['a']])
  guest.answer = []
  await pass(500)
  assert.deepEqual([guests.known('a'), news], [[], ['a', 'a']])
})

test('a guest that does not answer is asked again, and what it said before stays', async (t) => {
  const { guests, guest, news, pass } = open(t)
  guest.answer = eth0
  guests.ask('a')
  await pass(200)
  for (const answer of [undefined, new Error('no agent')]) {
    guest.answer = answer
    await pass(1000)
    assert.deepEqual([guests.known('a'), news], [eth0, ['a']])
  }
  assert.equal(guest.asked, 3)
})

test('a new cause starts anew', async (t) => {
  const { guests, guest, pass } = open(t)
  guests.ask('a')
  for (const ms of [200, 300, 500, 1000]) await pass(ms)
  assert.equal(guest.asked, 4)
  guests.ask('a')
  await pass(200)
  assert.equal(guest.asked, 5)
})

test('it is the hypervisor the sandbox has now that is asked, once there is one again', async (t) => {
  const { guests, guest, current, news, pass } = open(t)
  guests.ask('a')
  await pass(200)
  current.agent = undefined
  await pass(300)
  assert.deepEqual([guest.asked, news], [1, []])
  current.agent = { interfaces: async () => eth0, info: async () => undefined } as unknown as GuestAgent
  await pass(500)
  assert.deepEqual([guest.asked, guests.known('a'), news], [1, eth0, ['a']])
})

test('a guest that is forgotten is not asked, and an answer under way is no news', async (t) => {
  const { guests, current, news, pass } = open(t)
  let answer: (value: readonly GuestInterface[]) => void = () => undefined
  const interfaces = () => new Promise<readonly GuestInterface[]>((resolve) => (answer = resolve))
  current.agent = { interfaces } as unknown as GuestAgent
  guests.ask('a')
  assert.equal(guests.isAsked('a'), true)
  await pass(200)
  guests.forget('a')
  answer(eth0)
  await pass(60_000)
  assert.deepEqual([guests.isAsked('a'), guests.known('a'), news], [false, undefined, []])
})

test('after the end nobody is asked any more, not even for a new cause', async (t) => {
  const { guests, guest, stop, pass } = open(t)
  guests.ask('a')
  stop.abort()
  guests.ask('b')
  await pass(60_000)
  assert.deepEqual([guest.asked, guests.isAsked('a'), guests.isAsked('b')], [0, false, false])
})

test('a guest is asked about itself when its agent has answered, and again now and then', async (t) => {
  const { guests, guest, news, pass } = open(t)
  guests.ask('a')
  await pass(200)
  assert.equal(guest.askedInfo, 0)
  guest.answer = eth0
  guest.info = new Error('not yet')
  await pass(300)
  assert.deepEqual([guest.askedInfo, guests.info('a'), news.length], [1, undefined, 1])
  guest.info = { os: { id: 'debian' }, agent: { hostname: 'h' } }
  await pass(500)
  assert.deepEqual([guest.askedInfo, guests.info('a'), news.length], [2, guest.info, 2])
  for (const ms of [1000, 2000, 4000, 8000, ...Array(6).fill(30_000)]) await pass(ms)
  assert.deepEqual([guest.askedInfo, news.length], [2, 2])
  guest.info = { os: { id: 'debian' }, agent: { hostname: 'renamed' } }
  await pass(30_000)
  assert.deepEqual([guest.askedInfo, guests.info('a')?.agent.hostname, news.length], [3, 'renamed', 3])
})
