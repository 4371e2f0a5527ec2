import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { browserCommand } from './browser.ts'

const url = 'https://127.0.0.1:6443/#code=abc'

test('an address is opened by what BROWSER names', async () => {
  const rows: readonly [browser: string, command: readonly string[]][] = [
    ['firefox', ['firefox', url]],
    ['firefox --new-window %s:w3m', ['firefox', '--new-window', url]],
    ['w3m -T', ['w3m', '-T', url]],
  ]
  for (const [BROWSER, command] of rows) assert.deepEqual(await browserCommand(url, { BROWSER }), command)
})

test('an address is opened by xdg-open where there is a display, and by nothing elsewhere', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'patchbay-browser-'))
  t.after(() => rm(folder, { recursive: true }))
  const PATH = `/nowhere::${folder}`
  assert.equal(await browserCommand(url, { PATH, DISPLAY: ':0' }), undefined)
  const program = join(folder, 'xdg-open')
  await writeFile(program, '', { mode: 0o644 })
  assert.equal(await browserCommand(url, { PATH, DISPLAY: ':0' }), undefined, 'it cannot be run')
  await rm(program)
  await writeFile(program, '', { mode: 0o755 })
  assert.deepEqual(await browserCommand(url, { PATH, DISPLAY: ':0' }), [program, url])
  assert.deepEqual(await browserCommand(url, { PATH, WAYLAND_DISPLAY: 'wayland-0' }), [program, url])
  assert.equal(await browserCommand(url, { PATH }), undefined)
})
