import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { eventually } from '#base/wait.ts'
import { consoleInput } from './console-input.ts'

function makePipe(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'patchbay-input-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'console.in')
  execFileSync('mkfifo', [path])
  return path
}

/** Opens a pipe as QEMU does, for both ways; `read` gives what waits in it. */
function qemuAt(t: TestContext, path: string) {
  const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
  let isOpen = true
  const close = () => {
    if (isOpen) closeSync(fd)
    isOpen = false
  }
  t.after(close)
  const read = () => {
    const buffer = Buffer.alloc(1024 * 1024)
    try {
      return buffer.toString('latin1', 0, readSync(fd, buffer))
    } catch {
      return ''
    }
  }
  return { read, close }
}

function typing(t: TestContext, path: string) {
  const stop = new AbortController()
  t.after(() => stop.abort())
  const writer = consoleInput(path, stop.signal).getWriter()
  writer.closed.catch(() => undefined)
  return { type: (text: string) => writer.write(Buffer.from(text)), writer, stop }
}

test('what is typed goes into the pipe; without a QEMU it goes nowhere, and a new QEMU gets it again', async (t) => {
  const path = makePipe(t)
  const { type } = typing(t, path)
  await type('lost')
  const first = qemuAt(t, path)
  await type('one')
  assert.equal(first.read(), 'one')
  first.close()
  await type('lost too')
  const second = qemuAt(t, path)
  await type('two')
  assert.equal(second.read(), 'two')
})

test('a guest that reads nothing lets its writer wait, who can leave', async (t) => {
  const path = makePipe(t)
  const qemu = qemuAt(t, path)
  const { type, stop } = typing(t, path)
  let isWritten = false
  const written = type('x'.repeat(300_000)).then(
    () => {
      isWritten = true
    },
    () => undefined,
  )
  let read = ''
  await eventually('the pipe is full', () => {
    assert.equal(isWritten, false)
    read += qemu.read()
    return read.length > 0
  })
  await eventually('all of it comes', () => {
    read += qemu.read()
    return read.length === 300_000
  })
  await written
  assert.equal(isWritten, true)
  const stuck = type('y'.repeat(300_000)).catch(() => undefined)
  stop.abort()
  await stuck
})

test('a sandbox without the pipe has no console', async (t) => {
  const path = makePipe(t)
  const { type } = typing(t, `${path}.other`)
  await assert.rejects(type('x'), /The guest has no serial console/)
})
