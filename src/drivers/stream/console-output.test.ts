import assert from 'node:assert/strict'
import { appendFile, mkdtemp, rename, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { eventually } from '#base/wait.ts'
import { followConsole, type Tail } from './console-output.ts'

async function folder(t: TestContext): Promise<string> {
  const run = await mkdtemp(join(tmpdir(), 'patchbay-console-'))
  t.after(() => rm(run, { recursive: true, force: true }))
  return run
}

/** Reads a stream and keeps what came. */
function collect(stream: ReadableStream<Uint8Array>) {
  const seen = { text: '', isOver: false }
  const read = async () => {
    for await (const chunk of stream) seen.text += Buffer.from(chunk).toString('latin1')
    seen.isOver = true
  }
  const done = read()
  done.catch(() => undefined)
  const sees = (text: string) =>
    eventually(`${text} comes`, () => {
      if (seen.text === text) return true
      throw new Error(`so far ${JSON.stringify(seen.text)}`)
    })
  return { seen, sees, done }
}

async function following(t: TestContext, run: string, tail: number | Tail = 64 * 1024) {
  const stop = new AbortController()
  t.after(() => stop.abort())
  return { ...collect(await followConsole(run, typeof tail === 'number' ? { tail } : tail, stop.signal)), stop }
}

const full = async (run: string) => rename(join(run, 'console.log'), join(run, 'console.log.1'))

describe('the output of a console', () => {
  test('it begins with the last bytes of both files, and goes on with what comes', async (t) => {
    const run = await folder(t)
    await writeFile(join(run, 'console.log.1'), 'older')
    await writeFile(join(run, 'console.log'), 'newer')
    const all = await following(t, run)
    await all.sees('oldernewer')
    const tail = await following(t, run, 7)
    await tail.sees('ernewer')
    const short = await following(t, run, 2)
    await short.sees('er')
    const none = await following(t, run, 0)
    await appendFile(join(run, 'console.log'), '!')
    await all.sees('oldernewer!')
    await tail.sees('ernewer!')
    await short.sees('er!')
    await none.sees('!')
  })

  test('it begins with the last lines, of which one may not be ended yet', async (t) => {
    const run = await folder(t)
    await writeFile(join(run, 'console.log.1'), 'a\nb\nc')
    await writeFile(join(run, 'console.log'), 'c\nd\ne')
    const texts = ['', 'e', 'd\ne', 'cc\nd\ne', 'b\ncc\nd\ne', 'a\nb\ncc\nd\ne', 'a\nb\ncc\nd\ne']
    const all = await Promise.all(texts.map((_, tailLines) => following(t, run, { tail: 1000, tailLines })))
    for (const [i, one] of all.entries()) if (i) await one.sees(texts[i] ?? '')
    await appendFile(join(run, 'console.log'), '\n')
    for (const [i, one] of all.entries()) if (i) await one.sees(`${texts[i]}\n`)
    await all[0]?.sees('\n')
    await (await following(t, run, { tail: 1000, tailLines: 2 })).sees('d\ne\n')
  })

  test('before there is a file it waits for one; between two files too', async (t) => {
    const run = await folder(t)
    const { sees } = await following(t, run)
    await writeFile(join(run, 'console.log'), 'a')
    await sees('a')
    await full(run)
    await appendFile(join(run, 'console.log.1'), 'b')
    await sees('ab')
    await writeFile(join(run, 'console.log'), 'c')
    await sees('abc')
  })

  test('a file that is begun anew is read from its beginning', async (t) => {
    const run = await folder(t)
    const log = join(run, 'console.log')
    await writeFile(log, 'before the host was restarted')
    const { sees } = await following(t, run)
    await sees('before the host was restarted')
    await truncate(log)
    await appendFile(log, 'after')
    await sees('before the host was restartedafter')
  })

  test('no byte is lost however often the files change, as long as the reader follows', async (t) => {
    const run = await folder(t)
    const log = join(run, 'console.log')
    const reader = await following(t, run)
    let all = ''
    let inFile = 0
    for (let i = 0; i < 400; i++) {
      const piece = `${i} ${'.'.repeat((i * 7919) % 900)}\n`
      await appendFile(log, piece)
      all += piece
      inFile += piece.length
      if (inFile < 10_000) continue
      await full(run)
      inFile = 0
      // The writer has to be that slow: two files are all that is kept.
      await eventually('the reader has it', () => reader.seen.text.length === all.length)
    }
    await reader.sees(all)
  })

  test('a reader that is too slow misses what is gone, and goes on with the oldest that is left', async (t) => {
    const run = await folder(t)
    const log = join(run, 'console.log')
    const stop = new AbortController()
    t.after(() => stop.abort())
    const stream = await followConsole(run, { tail: 100 }, stop.signal)
    const reader = stream.getReader()
    await writeFile(log, 'one ')
    assert.equal(Buffer.from((await reader.read()).value ?? []).toString(), 'one ')
    await appendFile(log, 'rest ')
    for (const text of ['lost ', 'two ', 'three']) {
      await full(run)
      await writeFile(log, text)
    }
    reader.releaseLock()
    await collect(stream).sees('rest two three')
  })

  test('it ends when its sandbox is gone, with all that was written, and when nobody wants it', async (t) => {
    const run = await folder(t)
    await writeFile(join(run, 'console.log'), 'last words')
    const reader = await following(t, run)
    const left = await following(t, run)
    await left.sees('last words')
    left.stop.abort()
    await left.done
    await rm(run, { recursive: true })
    await reader.done
    assert.equal(reader.seen.text, 'last words')
    await assert.rejects(
      followConsole(run, { tail: 0 }, new AbortController().signal),
      /The guest has no serial console/,
    )
  })
})
