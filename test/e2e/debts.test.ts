import assert from 'node:assert/strict'
import { chmod, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { eventually } from '#base/wait.ts'
import { path } from '../../tools/stage/api.ts'
import { provideDemoGuest } from '../../tools/stage/image.ts'
import { addition, nad, vm } from '../../tools/stage/manifests.ts'
import { must, program } from '../../tools/stage/program.ts'
import { patienceMs, Stage } from '../../tools/stage/stage.ts'

// biome-ignore lint/suspicious/noExplicitAny: objects of the API, looked into as they come
type Any = any

const config = (name: string, more: object) => ({ cniVersion: '0.3.1', name, type: 'host-device', ...more })
const at = '/spec/template/spec'

describe('networks that cannot be added or given back', () => {
  let stage: Stage
  let stuck: string

  before(async () => {
    stage = await Stage.open()
    stuck = `${stage.dir}/stuck`
    const plugins = `${stage.dir}/plugins`
    await mkdir(plugins)
    const sticky = `[ "$CNI_COMMAND" = DEL ] && [ -e ${stuck} ] && { echo '{"msg":"the switch is away"}'; exit 1; }`
    await writeFile(`${plugins}/sticky`, `#!/bin/sh\n${sticky}\nexec /usr/lib/cni/bridge\n`)
    await chmod(`${plugins}/sticky`, 0o755)
    // Complains in other words each time.
    const wordy = `[ "$CNI_COMMAND" = ADD ] || exit 0\ndate +%s%N >> ${stage.dir}/tries\necho "{\\"msg\\":\\"broken at $(date +%N)\\"}"; exit 1`
    await writeFile(`${plugins}/wordy`, `#!/bin/sh\n${wordy}\n`)
    await chmod(`${plugins}/wordy`, 0o755)
    await provideDemoGuest(stage)
    await stage.up(['--cni-bin-dir', `/usr/lib/cni,${plugins}`])
  })
  after(async () => {
    // Nobody but that plugin knows that there is one.
    await program('ip', ['link', 'delete', 'br-sticky'])
    await stage[Symbol.asyncDispose]()
  })

  const complaint = async (name: string): Promise<string> => {
    const { body } = await stage.api.call('GET', path.vmi(name))
    return body.status?.conditions?.find((one: Any) => one.type === 'Synchronized')?.message ?? ''
  }
  const complains = (name: string, pattern: RegExp) =>
    eventually(`${name} says ${pattern}`, async () => pattern.test(await complaint(name)), { deadlineMs: patienceMs })
  const mend = (name: string) =>
    stage.k(
      ...['patch', 'net-attach-def', name, '--type=merge', '-p'],
      JSON.stringify({
        spec: { config: JSON.stringify({ cniVersion: '0.4.0', type: 'bridge', bridge: `br-${name}` }) },
      }),
    )
  const isGone = (name: string) => stage.k('delete', 'vm', name, `--timeout=${patienceMs / 1000}s`)
  const records = async () => (await readdir(`${stage.dir}/cni`)).filter((file) => file.endsWith('.json'))

  test('a parent link that is not there is named; a mended network starts the VM; deleted, nothing is left', async () => {
    await stage.apply(nad('typo', config('typo', { device: 'eno8' })))
    await stage.apply(vm('typo', { secondary: { typo: 'up' }, graceSeconds: 0 }))
    await complains('typo', /"host-device" of network "typo" \(ADD\) failed: .*eno8/)
    await mend('typo')
    await stage.waitFor('typo', 'AgentConnected')
    await isGone('typo')
    assert.deepEqual(await records(), [])
  })

  test('a VM whose network never came can be deleted', async () => {
    await stage.apply(nad('never', config('never', { device: 'eno9' })))
    await stage.apply(vm('never', { secondary: { never: 'up' } }))
    await complains('never', /"host-device" of network "never" \(ADD\) failed: .*eno9/)
    await isGone('never')
    assert.deepEqual(await records(), [])
  })

  test('a network that fails is tried less and less often, whatever its plugin says', async () => {
    await stage.apply(nad('wordy', { cniVersion: '0.4.0', name: 'wordy', type: 'wordy' }))
    await stage.apply(vm('wordy', { secondary: { wordy: 'up' } }))
    const tries = async () => (await readFile(`${stage.dir}/tries`, 'utf8').catch(() => '')).split('\n').filter(Boolean)
    const [first, , , , fifth] = await eventually(
      'it is tried five times',
      async () => {
        const all = await tries()
        return all.length >= 5 && all
      },
      { deadlineMs: patienceMs },
    )
    // 250 ms, then twice as long each time.
    const ms = Number((BigInt(fifth!) - BigInt(first!)) / 1_000_000n)
    assert.ok(ms >= 3700, `five tries within ${ms} ms`)
    await isGone('wordy')
  })

  test('addresses by DHCP without a daemon are refused in words, and the VM runs when they are not asked for any more', async () => {
    const bridge = { cniVersion: '0.4.0', name: 'lan', type: 'bridge', bridge: 'br-lan', ipam: { type: 'dhcp' } }
    await stage.apply(nad('lan', bridge))
    await stage.apply(vm('lan', { secondary: { lan: 'up' }, graceSeconds: 0 }))
    await complains('lan', /no CNI DHCP daemon of this host listens at "\/run\/cni\/dhcp\.sock"; start one/)
    await mend('lan')
    await stage.waitFor('lan', 'AgentConnected')
    await isGone('lan')
  })

  test('a plug that failed and was taken back keeps no VM from being deleted', async () => {
    await stage.apply(nad('bad', config('bad', { device: 'eno7' })))
    await stage.apply(vm('plugged', { graceSeconds: 0 }))
    await stage.waitFor('plugged', 'AgentConnected')
    const patch = (operations: unknown) =>
      stage.k('patch', 'vm', 'plugged', '--type=json', '-p', JSON.stringify(operations))
    await patch(addition('x', 'bad'))
    await complains('plugged', /eno7/)
    await patch([{ op: 'add', path: `${at}/domain/devices/interfaces/1/state`, value: 'absent' }])
    await eventually('it is taken back', async () => (await complaint('plugged')) === '', { deadlineMs: patienceMs })
    await isGone('plugged')
    assert.deepEqual(await records(), [])
  })

  test('what a plugin will not give back holds its VM for half a minute only, and is told', async () => {
    await stage.apply(nad('sticky', { cniVersion: '0.4.0', name: 'sticky', type: 'sticky', bridge: 'br-sticky' }))
    await stage.apply(vm('held', { secondary: { sticky: 'up' }, graceSeconds: 0 }))
    await stage.waitFor('held', 'AgentConnected')
    await writeFile(stuck, '')
    await isGone('held')
    const told =
      /^the sandbox of pod \S+ was removed, but not all was undone that CNI plugins did: .*the switch is away/
    const { body } = await stage.api.call('GET', path.events)
    assert.ok(
      body.items.some(({ reason, message }: Any) => reason === 'FailedKillPod' && told.test(message)),
      'no event tells it',
    )
    assert.deepEqual(await records(), [])
    await rm(stuck)
  })

  test('patchbay down comes to its end, and says what a plugin did not give back', async () => {
    await stage.apply(vm('last', { secondary: { sticky: 'up' }, graceSeconds: 0 }))
    await stage.waitFor('last', 'AgentConnected')
    const { uid } = (await stage.pod('last')).metadata
    await writeFile(stuck, '')
    const { code, stdout, stderr } = await stage.down()
    assert.equal(code, 0, stderr)
    assert.match(stdout, /not undone: .*the switch is away/)
    assert.match(stdout, /Nothing of .* runs on this host any more/)
    assert.deepEqual(await records(), [])
    assert.ok(!(await must('ip', ['netns'])).includes(uid))
  })
})
