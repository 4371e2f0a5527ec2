import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silent } from '#base/log.ts'
import { SandboxWatch, type Watched } from './sandbox-watch.ts'

const watched = (uid: string): Watched => ({
  place: { dir: `/none/${uid}`, uid, netns: `pb-${uid}`, namespace: 'default', name: uid },
  attachments: [],
  inode: 1,
  mirrors: [],
})

/** Sandboxes whose damage is as told, and what was heard of it. */
function open(...uids: string[]) {
  const damage = new Map<string, string>()
  const told: string[] = []
  const unread: string[] = []
  const mirrors: { isDue: boolean; why: readonly string[] } = { isDue: false, why: [] }
  const gate = { looked: Promise.resolve() }
  /** What happens when the guest is asked for its cards. */
  const guest: { asked: () => void } = { asked: () => undefined }
  const watch = new SandboxWatch({
    network: {
      look: () => gate.looked,
      damageTo: async ({ uid }) => ({ why: damage.has(uid) ? [damage.get(uid)!] : [], deaf: [...unread] }),
    },
    mirrors: { look: async () => ({ ...mirrors }) },
    cardsOf: async () => {
      guest.asked()
      return ['default', 'blue']
    },
    list: () => uids.map(watched),
    onDamage: (uid, { why, deaf }) => told.push(`${uid}: ${[...why, ...deaf]}`),
    onDue: (uid) => told.push(`${uid} is due`),
    log: silent,
  })
  return { watch, damage, told, gate, unread, guest, mirrors }
}

test('what is damaged is told each time it is seen, and nothing else is', async () => {
  const { watch, damage, told } = open('a', 'b')
  await watch.look()
  assert.deepEqual(told, [])
  damage.set('b', 'the bridge was gone')
  await watch.look()
  await watch.look()
  assert.deepEqual(told, ['b: the bridge was gone', 'b: the bridge was gone'])
})

test('what is being changed is not looked at, nor is what was changed meanwhile', async () => {
  const { watch, damage, told, gate } = open('a', 'b')
  damage.set('a', 'half done')
  const { promise, resolve } = Promise.withResolvers<void>()
  const work = watch.during('a', () => promise)
  await watch.look()
  assert.deepEqual(told, [])
  resolve()
  await work
  const looked = Promise.withResolvers<void>()
  gate.looked = looked.promise
  const looking = watch.look()
  await watch.during('a', async () => undefined)
  looked.resolve()
  await looking
  assert.deepEqual(told, [])
  await watch.look()
  assert.deepEqual(told, ['a: half done'])
})

test('one of two changes that are under way keeps a sandbox from being looked at', async () => {
  const { watch, damage, told } = open('a')
  damage.set('a', 'half done')
  const first = Promise.withResolvers<void>()
  const work = watch.during('a', () => first.promise)
  await assert.rejects(
    watch.during('a', () => Promise.reject(new Error('failed'))),
    { message: 'failed' },
  )
  await watch.look()
  assert.deepEqual(told, [])
  first.resolve()
  await work
  await watch.look()
  assert.deepEqual(told, ['a: half done'])
})

test('a tap that nobody has open is told where the guest has its card', async () => {
  const { watch, told, unread } = open('a')
  unread.push('green')
  await watch.look()
  assert.deepEqual(told, [])
  unread.push('blue')
  await watch.look()
  assert.deepEqual(told, ['a: blue'])
})

test('a tap that nobody had open yet is no damage when its guest has begun to run since', async () => {
  const { watch, told, unread, guest } = open('a')
  unread.push('blue')
  guest.asked = () => unread.splice(0)
  await watch.look()
  assert.deepEqual(told, [])
})

test('a mirror that can be made is due, one that was cut is damage, and neither is told of a sandbox that is damaged', async () => {
  const { watch, damage, told, mirrors } = open('a')
  mirrors.isDue = true
  await watch.look()
  mirrors.why = ['the copy was cut']
  await watch.look()
  damage.set('a', 'the bridge was gone')
  await watch.look()
  assert.deepEqual(told, ['a is due', 'a: the copy was cut', 'a: the bridge was gone'])
})
