import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silent } from '#base/log.ts'
import type { Libvirt } from '../libvirt/rpc/libvirt.ts'
import { type Live, LiveSandboxes } from './live.ts'

/** Connections that a test ends, and what was told of sandboxes that were lost by it. */
function open() {
  const lost: string[] = []
  const ends: ((why: Error) => void)[] = []
  const sandboxes = new LiveSandboxes({
    open: async () => {
      const { promise, resolve } = Promise.withResolvers<Error>()
      ends.push(resolve)
      return { closed: promise, close: () => resolve(new Error('closed')) } as unknown as Libvirt
    },
    onLost: (uid) => lost.push(uid),
    log: silent,
  })
  const end = async (i: number) => {
    ends[i]!(new Error('libvirtd ended'))
    // Whoever waits for the end of a connection hears of it first.
    await new Promise((resolve) => setImmediate(resolve))
  }
  const live = (libvirt: Libvirt) => ({ attachments: [], libvirt }) as unknown as Live
  return { sandboxes, lost, end, live }
}

test('a sandbox whose connection ends is not known any more, and that is told', async () => {
  const { sandboxes, lost, end, live } = open()
  sandboxes.put('a', live(await sandboxes.connect('a')))
  assert.ok(sandboxes.get('a'))
  await end(0)
  assert.deepEqual([sandboxes.get('a'), lost], [undefined, ['a']])
})

test('a connection that ended before its sandbox was known by it is no connection', async () => {
  const { sandboxes, end, live } = open()
  const libvirt = await sandboxes.connect('a')
  await end(0)
  assert.throws(() => sandboxes.put('a', live(libvirt)), { kind: 'Unavailable', message: /libvirtd/ })
  assert.equal(sandboxes.get('a'), undefined)
})

test('the end of an old connection takes nothing from the one after it', async () => {
  const { sandboxes, lost, end, live } = open()
  sandboxes.put('a', live(await sandboxes.connect('a')))
  sandboxes.put('a', live(await sandboxes.connect('a')))
  await end(0)
  assert.deepEqual([sandboxes.get('a') !== undefined, lost], [true, []])
})

test('a sandbox that is to be looked at again keeps its connection, and nothing of what was known of it', async () => {
  const { sandboxes, live } = open()
  const libvirt = await sandboxes.connect('a')
  sandboxes.put('a', { ...live(libvirt), attachments: [{} as never], watched: {} as never })
  sandboxes.lookAgain('a')
  sandboxes.lookAgain('unknown')
  const now = sandboxes.get('a')
  assert.deepEqual([now?.libvirt === libvirt, now?.attachments, now?.watched], [true, [], undefined])
  assert.equal(sandboxes.list().length, 1)
})

test('a sandbox that is ended by Patchbay is not lost', async () => {
  const { sandboxes, lost, live } = open()
  for (const uid of ['a', 'b', 'c']) sandboxes.put(uid, live(await sandboxes.connect(uid)))
  sandboxes.end('a')
  sandboxes.end('unknown')
  assert.deepEqual([sandboxes.get('a'), sandboxes.list().length], [undefined, 2])
  sandboxes.close()
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual([sandboxes.list(), lost], [[], []])
})
