import assert from 'node:assert/strict'
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { release, tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { silent } from '#base/log.ts'
import { chosenAccelerator, probeAccelerator } from './kvm.ts'

/** What QEMU ends with when the probe's guest has run through. */
const ran = 85

/** A program that says it is QEMU, notes how it is called, and ends by accelerator as a test says. */
async function open(t: TestContext, ends: Readonly<{ tcg: number; kvm: number }>) {
  const dir = await mkdtemp(join(tmpdir(), 'pb-kvm-'))
  t.after(() => rm(dir, { recursive: true, force: true }))
  const at = (name: string) => join(dir, name)
  const script = (version: string) => `#!/bin/sh
if [ "$1" = --version ]; then echo "QEMU emulator version ${version}"; echo Copyright; exit 0; fi
echo "$2" >>${at('calls')}
if [ "$2" = kvm ]; then exit ${ends.kvm}; fi
exit ${ends.tcg}
`
  const install = async (version: string) => {
    await writeFile(at('qemu'), script(version))
    await chmod(at('qemu'), 0o755)
  }
  await install('7.2.0')
  await writeFile(at('kvm'), '')
  const file = at('accelerator.json')
  const probe = (device = at('kvm')) => probeAccelerator(at('qemu'), file, silent, device)
  const calls = async () => (await readFile(at('calls'), 'utf8').catch(() => '')).trim().split('\n').join()
  const verdict = async () => JSON.parse(await readFile(file, 'utf8'))
  return { install, file, probe, calls, verdict }
}

for (const [what, ends, expected, calls, why] of [
  ['runs the probe', { tcg: ran, kvm: ran }, 'kvm', 'tcg,kvm', /^the probe ran$/],
  [
    'opens and does not run it',
    { tcg: ran, kvm: 1 },
    'tcg',
    'tcg,kvm',
    /opens, but the probe did not end within \d+ ms$/,
  ],
  ['runs it and emulation is too slow', { tcg: 1, kvm: ran }, 'kvm', 'tcg,kvm', /^the probe ran$/],
  ['does not run it, nor emulation', { tcg: 1, kvm: 1 }, 'tcg', 'tcg,kvm', /within 8000 ms, nor under emulation$/],
] as const)
  test(`guests run by ${expected} where KVM ${what}`, async (t) => {
    const host = await open(t, ends)
    assert.equal(await host.probe(), expected)
    assert.equal(await host.calls(), calls)
    assert.match((await host.verdict()).why, why)
  })

test('without a device of KVM nothing is tried', async (t) => {
  const host = await open(t, { tcg: ran, kvm: ran })
  assert.equal(await host.probe('/no/such/device'), 'tcg')
  assert.deepEqual(
    [await host.calls(), (await host.verdict()).why],
    ['', 'there is no /no/such/device that can be opened'],
  )
})

test('a verdict holds as long as kernel and QEMU stay the same', async (t) => {
  const host = await open(t, { tcg: ran, kvm: ran })
  await host.probe()
  assert.deepEqual((await host.verdict()).subject, `${release()} QEMU emulator version 7.2.0`)
  assert.equal(await host.probe('/no/such/device'), 'kvm')
  await host.install('8.0.0')
  assert.equal(await host.probe('/no/such/device'), 'tcg')
})

for (const text of ['', '{', '[]', '{"accelerator":"kvm"}', '{"subject":"x","accelerator":"hvf"}'])
  test(`a verdict that reads ${JSON.stringify(text)} is measured again`, async (t) => {
    const host = await open(t, { tcg: ran, kvm: 1 })
    await writeFile(host.file, text)
    assert.equal(await host.probe(), 'tcg')
    assert.equal((await host.verdict()).accelerator, 'tcg')
  })

test('an operator’s choice stands, and KVM is refused where there is none', async () => {
  assert.equal(await chosenAccelerator('auto', '/no/such/device'), undefined)
  assert.equal(await chosenAccelerator('tcg', '/no/such/device'), 'tcg')
  assert.equal(await chosenAccelerator('kvm', '/dev/null'), 'kvm')
  await assert.rejects(chosenAccelerator('kvm', '/no/such/device'), {
    kind: 'Invalid',
    message: '--accelerator kvm: there is no /no/such/device that can be opened; load kvm_intel or kvm_amd',
  })
})
