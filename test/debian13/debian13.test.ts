import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { before, describe, it } from 'node:test'
import { root as checkout } from '../../tools/stage/stage.ts'

const isDebian12 =
  process.getuid?.() === 0 && /^VERSION_CODENAME=bookworm$/m.test(readFileSync('/etc/os-release', 'utf8'))
const skip = isDebian12
  ? false
  : 'this machine is no Debian 12, or the tests are not run by root: this lane is for those'

/** End-to-end files that go through everything that differs between two versions of libvirt and QEMU. */
const core = ['link', 'plug.test', 'migrate.test']

describe('on Debian 13, with libvirt 11 and QEMU 10', { skip }, () => {
  const folder = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'patchbay', 'debian13')
  const script = join(checkout, 'tools/debian13.sh')
  const run = (...command: readonly string[]) => succeed('sh', [script, 'run', folder, checkout, ...command])

  before(() => succeed('sh', [script, 'make', folder]), { timeout: 600_000 })

  it('set-up installs what is missing', { timeout: 600_000 }, async () => {
    await run('sh', 'tools/setup.sh', '--with-kubectl')
    const versions = await run(
      'sh',
      '-c',
      'libvirtd --version && qemu-system-x86_64 --version && kubectl version --client',
    )
    assert.match(versions, /libvirtd \(libvirt\) 11\./)
    assert.match(versions, /QEMU emulator version 10\./)
  })

  it('the demo plays its whole story on a guest made there', { timeout: 600_000 }, async () => {
    assert.match(await run('node', 'tools/demo.ts'), /the demo guest|agreed/i)
  })

  for (const part of core)
    it(`the end-to-end tests of ${part} pass`, { timeout: 600_000 }, async () => {
      const quiet = '--disable-warning=ExperimentalWarning'
      const said = await run('node', quiet, 'tools/test.ts', 'end to end', part)
      assert.match(said, /^[1-9]\d* passed, 0 failed, 0 skipped$/m)
    })
})

/** Runs a program and resolves to its output; what it says goes to the test's own output when it fails. */
function succeed(program: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    const chunks: Buffer[] = []
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    child.once('error', reject)
    child.once('close', (code) => {
      const text = Buffer.concat(chunks).toString()
      if (code === 0) return resolve(text)
      reject(new Error(`${program} ${args.join(' ')} exited with ${code}:\n${text.slice(-8000)}`))
    })
  })
}
