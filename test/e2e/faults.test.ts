import assert from 'node:assert/strict'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { eventually } from '#base/wait.ts'
import { path } from '../../tools/stage/api.ts'
import { provideDemoGuest } from '../../tools/stage/image.ts'
import { nad, vm } from '../../tools/stage/manifests.ts'
import { patienceMs, Stage } from '../../tools/stage/stage.ts'

describe('bad input on a real host', () => {
  let stage: Stage
  let plugins: string

  before(async () => {
    stage = await Stage.open()
    plugins = `${stage.dir}/plugins`
    await mkdir(plugins)
    await plugin(
      'broken',
      'echo \'{"cniVersion":"0.4.0","code":11,"msg":"no address left","details":"pool is empty"}\'; exit 1',
    )
    await plugin('hanging', 'sleep 600')
    await provideDemoGuest(stage)
    await stage.up(['--cni-bin-dir', `/usr/lib/cni,${plugins}`, '--cni-timeout', '3'])
    await stage.apply(vm('healthy'))
    await stage.waitFor('healthy', 'Ready')
  })
  after(() => stage[Symbol.asyncDispose]())

  async function plugin(name: string, script: string): Promise<void> {
    await writeFile(`${plugins}/${name}`, `#!/bin/sh\n[ "$CNI_COMMAND" = DEL ] && exit 0\n${script}\n`)
    await chmod(`${plugins}/${name}`, 0o755)
  }

  /** The VM says what is wrong by a condition and an Event. */
  async function complains(name: string, pattern: RegExp): Promise<void> {
    await eventually(
      `VM ${name} complains like ${pattern}`,
      async () => {
        const { body } = await stage.api.call('GET', path.vm(name))
        const condition = body.status?.conditions?.find((one: { type: string }) => one.type === 'Synchronized')
        if (condition?.status === 'False' && pattern.test(condition.message)) return true
        throw new Error(`it says ${JSON.stringify(condition)}`)
      },
      { deadlineMs: patienceMs },
    )
    const { body: events } = await stage.api.call('GET', path.events)
    const told = events.items.filter(
      (event: { involvedObject: { name: string }; type: string; message: string }) =>
        event.involvedObject.name === name && event.type === 'Warning' && pattern.test(event.message),
    )
    assert.ok(told.length > 0, `no Warning Event of ${name} says ${pattern}`)
  }

  const recovers = async (name: string) => {
    await stage.waitFor(name, 'Ready')
    const { body } = await stage.api.call('GET', path.vm(name))
    assert.ok(
      !body.status.conditions.some((one: { type: string }) => one.type === 'Synchronized'),
      'the complaint outlives its cause',
    )
    await stage.k('delete', 'vm', name, `--timeout=${patienceMs / 1000}s`)
  }

  const networks: readonly [what: string, config: unknown, complaint: RegExp][] = [
    [
      'broken JSON',
      '{"type": "bridge"',
      /NetworkAttachmentDefinition default\/n\d cannot be used: spec\.config is not valid JSON/,
    ],
    [
      'an unknown plugin',
      { cniVersion: '0.4.0', name: 'n', type: 'teleport' },
      /type: there is no CNI plugin "teleport" on this host; available: .*bridge/,
    ],
    [
      'a path for a plugin',
      { cniVersion: '0.4.0', name: 'n', type: '../../bin/sh' },
      /type: "..\/..\/bin\/sh" is not the plain name of a plugin/,
    ],
    [
      'a plugin that fails',
      { cniVersion: '0.4.0', name: 'n', type: 'broken' },
      /CNI plugin "broken" of network "n" \(ADD\) failed: no address left; pool is empty/,
    ],
    [
      'a bridge no link can be called',
      { cniVersion: '0.4.0', name: 'n', type: 'bridge', bridge: 'much-too-long-for-a-link' },
      /bridge: "much-too-long-for-a-link" cannot be the name of a bridge/,
    ],
    [
      'a plugin that hangs',
      { cniVersion: '0.4.0', name: 'n', type: 'hanging' },
      /CNI plugin "hanging" of network "n" \(ADD\) did not end within 3 s/,
    ],
  ]

  test('a missing NAD is a condition and an Event that say what to do; once created, the VM starts', async () => {
    await stage.apply(vm('no-nad', { secondary: { missing: 'up' }, graceSeconds: 0 }))
    await complains(
      'no-nad',
      /interface "missing" wants the NetworkAttachmentDefinition default\/missing, which does not exist or has no config; create it/,
    )
    await stage.apply(nad('missing'))
    await recovers('no-nad')
  })

  for (const [index, [what, config, complaint]] of networks.entries())
    test(`a NAD with ${what} is a condition and an Event; once mended, the VM starts`, async () => {
      const network = `n${index}`
      const name = `vm-${network}`
      await stage.apply(
        nad(network, config),
        vm(name, { secondary: { [network]: 'up' }, memory: '96Mi', graceSeconds: 0 }),
      )
      await complains(name, complaint)
      await stage.apply(nad(network))
      await recovers(name)
    })

  test('a missing image is a condition and an Event; once imported, the VM starts', async () => {
    await stage.apply(vm('no-image', { image: 'later', memory: '96Mi', graceSeconds: 0 }))
    await complains('no-image', /image "later" is not on node node1; make it with: patchbay image import later DIR/)
    const { stdout } = await stage.kubectl(['get', 'vm', 'no-image'])
    assert.match(stdout, /ErrImagePull/)
    const imported = await stage.patchbay('image', 'import', 'later', `${stage.dir}/images/demo-guest`)
    assert.equal(imported.code, 0, imported.stderr)
    await recovers('no-image')
  })

  test('a binding that cannot be run is a condition and an Event', async () => {
    const passt = structuredClone(vm('passt')) as {
      spec: { template: { spec: { domain: { devices: { interfaces: object[] } } } } }
    }
    passt.spec.template.spec.domain.devices.interfaces = [{ name: 'default', passtBinding: {} }]
    await stage.apply(passt)
    await complains(
      'passt',
      /interface "default" uses the binding passtBinding, which this version cannot run; use bridge or masquerade/,
    )
    await stage.k('delete', 'vm', 'passt', `--timeout=${patienceMs / 1000}s`)
  })

  test('a name that cannot be a domain name is refused at once', async () => {
    const { code, stderr } = await stage.kubectl(['create', '-f', '-'], JSON.stringify(vm('n'.repeat(64))))
    assert.equal(code, 1)
    assert.match(stderr, /name must be no more than 63 characters: it becomes the name of a libvirt domain/)
  })

  test('a data directory with a path too long for unix sockets is refused with that reason', async () => {
    const { code, stderr } = await stage.patchbayAt(`/tmp/${'d'.repeat(40)}`, 'up')
    assert.equal(code, 2)
    assert.match(
      stderr,
      /is 45 bytes long; at most 40 are possible, because unix socket paths below it must stay below 108/,
    )
  })

  test('none of it disturbed the VM beside', async () => {
    const { body } = await stage.api.call('GET', path.vmi('healthy'))
    assert.equal(body.status.phase, 'Running')
    assert.equal(
      body.status.phaseTransitionTimestamps.filter((one: { phase: string }) => one.phase === 'Running').length,
      1,
    )
  })
})
