import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { inflateSync } from 'node:zlib'
import { exists } from '#base/file.ts'
import { eventually } from '#base/wait.ts'
import { qemuProgram } from '../libvirt/domain-xml.ts'
import { connectGuestSocket } from '../stream/guest-socket.ts'
import { screenshot } from './screenshot.ts'

/** A QEMU without a disk: its BIOS says so on the screen. */
async function startScreen(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'patchbay-screen-'))
  const path = join(folder, 'vnc')
  const args = ['-M', 'q35', '-m', '16', '-nodefaults', '-net', 'none', '-vga', 'std', '-vnc', `unix:${path}`]
  const qemu = spawn(qemuProgram, args, { stdio: 'ignore' })
  const ended = new Promise((resolve) => qemu.once('exit', resolve))
  t.after(async () => {
    qemu.kill('SIGKILL')
    await ended
    await rm(folder, { recursive: true })
  })
  await eventually('QEMU listens', () => exists(path))
  return path
}

/** The parts of a PNG that say what it is, and its lines. */
function read(png: Buffer) {
  assert.equal(png.subarray(0, 8).toString('latin1'), '\x89PNG\r\n\x1a\n')
  const [width, height] = [png.readUInt32BE(16), png.readUInt32BE(20)]
  const length = png.readUInt32BE(33)
  assert.equal(png.toString('latin1', 37, 41), 'IDAT')
  return { width, height, lines: inflateSync(png.subarray(41, 41 + length)) }
}

test('a picture of the screen of a real QEMU shows what its BIOS writes, and looks do not disturb each other', async (t) => {
  const path = await startScreen(t)
  const { signal } = new AbortController()
  const user = process.getuid?.() ?? 0
  const take = async () => {
    const socket = await connectGuestSocket(path, { user, what: 'screen', signal })
    return read(Buffer.from(await screenshot(socket, AbortSignal.timeout(20_000))))
  }
  const { width, height, lines } = await eventually('something is written, as text', async () => {
    const picture = await take()
    return picture.width === 720 && picture.lines.some((byte) => byte > 100) && picture
  })
  assert.equal(lines.length, (width * 3 + 1) * height)
  t.diagnostic(`${width}x${height}`)
  const start = performance.now()
  const all = await Promise.all([take(), take(), take()])
  t.diagnostic(`three at once: ${(performance.now() - start).toFixed(0)} ms`)
  for (const one of all) assert.deepEqual([one.width, one.height], [width, height])
})
