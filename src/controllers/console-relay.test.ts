import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Fault } from '#base/fault.ts'
import { eventually } from '#base/wait.ts'
import { type Place, relayConsole } from './console-relay.ts'

/** The console of one sandbox, as a test moves it. */
class FakeConsole {
  typed = ''
  isStuck = false
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined
  readonly stream = {
    readable: new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller
      },
    }),
    writable: new WritableStream<Uint8Array>({
      write: async (bytes) => {
        if (this.isStuck) throw new Fault('Aborted', 'it is gone')
        this.typed += Buffer.from(bytes).toString()
      },
    }),
  }

  print(text: string): void {
    this.#controller?.enqueue(Buffer.from(text))
  }

  end(): void {
    this.#controller?.close()
  }
}

const at = (uid: string): Place => ({ node: 'n', uid })

async function relay(isTyping = () => true) {
  const consoles = new Map([1, 2, 3].map((n) => [`p${n}`, new FakeConsole()]))
  const tails: (number | undefined)[] = []
  const stop = new AbortController()
  let move: (place: Place | undefined) => void = () => undefined
  let isFollowed = true
  const { readable, writable } = await relayConsole(at('p1'), {
    open: async ({ uid }, _signal, tail) => {
      tails.push(tail)
      const found = consoles.get(uid)
      if (!found) throw new Fault('Unavailable', 'no such sandbox')
      return found.stream
    },
    follow: (listener) => {
      move = listener
      return () => {
        isFollowed = false
      }
    },
    isTyping,
    signal: stop.signal,
  })
  const seen = { text: '', isOver: false, failure: '' }
  const read = async () => {
    for await (const chunk of readable) seen.text += Buffer.from(chunk).toString()
    seen.isOver = true
  }
  read().catch((error: unknown) => {
    seen.failure = String(error)
  })
  const writer = writable.getWriter()
  writer.closed.catch(() => undefined)
  return {
    console: (n: number) => consoles.get(`p${n}`) ?? new FakeConsole(),
    tails,
    move: (uid?: string) => move(uid === undefined ? undefined : at(uid)),
    isFollowed: () => isFollowed,
    stop,
    seen,
    sees: (text: string) =>
      eventually(`${text} is seen`, () => {
        if (seen.text === text) return true
        throw new Error(`so far ${seen.text}`)
      }),
    type: (text: string) => writer.write(Buffer.from(text)),
  }
}

test('what the source printed comes before what the target prints, and later words of the source are not lost', async () => {
  const { console, move, sees, type, tails } = await relay()
  console(1).print('a')
  await sees('a')
  move('p1')
  console(2).print('C')
  move('p2')
  console(1).print('b')
  await sees('abC')
  console(1).print('(late)')
  await sees('abC(late)')
  await type('x')
  assert.deepEqual([console(1).typed, console(2).typed], ['', 'x'])
  // All that the target has printed is wanted, also before it was looked at.
  assert.deepEqual([tails[0], tails.length, (tails[1] ?? 0) > 64 * 1024], [undefined, 2, true])
  console(1).end()
  console(2).end()
  console(3).print('d')
  move('p3')
  await sees('abC(late)d')
})

test('it ends when the guest has ended, with all that it printed', async () => {
  const { console, move, seen, isFollowed } = await relay()
  console(1).print('last')
  move()
  console(1).print(' words')
  await eventually('it is over', () => seen.isOver)
  assert.equal(seen.text, 'last words')
  assert.equal(isFollowed(), false)
})

test('a sandbox that cannot be reached ends it with a failure, and a client that leaves with none', async () => {
  const failing = await relay()
  failing.move('unknown')
  await eventually('it has failed', () => /no such sandbox/.test(failing.seen.failure))
  assert.equal(failing.isFollowed(), false)
  const left = await relay()
  left.stop.abort()
  assert.equal(left.isFollowed(), false)
})

test('what is typed counts only for who types, and is not lost with the place the guest has left', async () => {
  let isTyping = false
  const { console, move, type, sees } = await relay(() => isTyping)
  await type('ignored')
  isTyping = true
  await type('one')
  assert.equal(console(1).typed, 'one')
  console(1).isStuck = true
  console(2).print('moved')
  move('p2')
  await sees('moved')
  await type('two')
  assert.equal(console(2).typed, 'two')
})
