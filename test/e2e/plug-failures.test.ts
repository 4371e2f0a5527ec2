import assert from 'node:assert/strict'
import { chmod, mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { eventually } from '#base/wait.ts'
import { linkNames } from '#core/nic/names.ts'
import { path } from '../../tools/stage/api.ts'
import { provideDemoGuest } from '../../tools/stage/image.ts'
import { nad, vm } from '../../tools/stage/manifests.ts'
import { must, program } from '../../tools/stage/program.ts'
import { patienceMs, Stage } from '../../tools/stage/stage.ts'

// biome-ignore lint/suspicious/noExplicitAny: objects of the API, looked into as they come
type Any = any

/** One address and no more. */
const tiny = {
  type: 'host-local',
  ranges: [[{ subnet: '192.168.90.0/24', rangeStart: '192.168.90.10', rangeEnd: '192.168.90.10' }]],
}
const config = (name: string, more: object = {}) => ({
  cniVersion: '0.4.0',
  name,
  type: 'bridge',
  bridge: `br-${name}`,
  ...more,
})

describe('plugging, unplugging and moving that fail on a real host', () => {
  let stage: Stage
  let uid: string
  let plugins: string
  let attempts: string

  before(async () => {
    stage = await Stage.open()
    plugins = `${stage.dir}/plugins`
    attempts = `${stage.dir}/attempts`
    await mkdir(plugins)
    await plugin('broken', 'exit 0', 'echo \'{"code":11,"msg":"no port left on the switch"}\'; exit 1')
    await plugin('hanging', 'exit 0', 'sleep 600')
    // A plugin that adds as it should and cannot delete while the file is there.
    await plugin('sticky', `[ -e ${stage.dir}/stuck ] && { echo '{"msg":"the switch is away"}'; exit 1; }`, '')
    await provideDemoGuest(stage)
    await stage.up(['--cni-bin-dir', `/usr/lib/cni,${plugins}`, '--cni-timeout', '2'])
    await stage.apply(
      nad('red'),
      nad('tiny', config('tiny', { ipam: tiny })),
      nad('broken', config('broken', { type: 'broken' })),
      nad('hanging', config('hanging', { type: 'hanging' })),
      nad('sticky', config('sticky', { type: 'sticky' })),
    )
    await stage.apply(vm('x', { secondary: { base: 'up' }, graceSeconds: 0 }))
    await stage.apply(nad('base'))
    await stage.waitFor('x', 'AgentConnected')
    uid = (await stage.pod('x')).metadata.uid
  })
  after(async () => {
    await rm(`${stage.dir}/stuck`, { force: true })
    // That such a plugin makes a bridge nobody else can know.
    await program('ip', ['link', 'delete', 'br-sticky'])
    await stage[Symbol.asyncDispose]()
  })

  /** A plugin that is Debian's bridge unless one of the two lines ends it. */
  async function plugin(name: string, del: string, add: string): Promise<void> {
    const script = `#!/bin/sh
echo "$CNI_COMMAND" >> ${attempts}
if [ "$CNI_COMMAND" = DEL ]; then ${del}
else :; ${add}
fi
exec /usr/lib/cni/bridge
`
    await writeFile(`${plugins}/${name}`, script)
    await chmod(`${plugins}/${name}`, 0o755)
  }

  const at = '/spec/template/spec'
  const patch = (...operations: readonly object[]) =>
    stage.k('patch', 'vm', 'x', '--type=json', '-p', JSON.stringify(operations))
  const add = (name: string, network: string) =>
    patch(
      { op: 'add', path: `${at}/domain/devices/interfaces/-`, value: { name, bridge: {} } },
      { op: 'add', path: `${at}/networks/-`, value: { name, multus: { networkName: network } } },
    )
  const indexOf = async (name: string, vmName = 'x'): Promise<number> => {
    const { body } = await stage.api.call('GET', path.vm(vmName))
    return body.spec.template.spec.domain.devices.interfaces.findIndex((one: Any) => one.name === name)
  }
  const setState = async (name: string, value: string) =>
    patch({ op: 'add', path: `${at}/domain/devices/interfaces/${await indexOf(name)}/state`, value })
  const setNetwork = async (name: string, value: string) =>
    patch({ op: 'replace', path: `${at}/networks/${await indexOf(name)}/multus/networkName`, value })
  const look = async (vmName = 'x') => (await stage.api.call('GET', path.vmi(vmName))).body
  const statusOf = (vmi: Any, name: string) => vmi.status?.interfaces?.find((one: Any) => one.name === name)
  const complaintOf = (vmi: Any): string | undefined =>
    vmi.status?.conditions?.find((one: Any) => one.type === 'Synchronized')?.message
  const until = (what: string, isDone: (vmi: Any) => unknown, vmName = 'x') =>
    eventually(
      what,
      async () => {
        const vmi = await look(vmName)
        if (isDone(vmi)) return vmi
        throw new Error(`it says ${complaintOf(vmi)} and ${JSON.stringify(vmi.status?.interfaces)}`)
      },
      { deadlineMs: patienceMs },
    )
  const events = async (reason: string): Promise<Any[]> => {
    const { body } = await stage.api.call('GET', path.events)
    return body.items.filter((one: Any) => one.reason === reason)
  }
  /** The condition says it, and a Warning Event of the reason that KubeVirt has for it. */
  const complains = async (pattern: RegExp, vmName = 'x') => {
    await until(`it complains like ${pattern}`, (vmi) => pattern.test(complaintOf(vmi) ?? ''), vmName)
    await eventually('the event', async () =>
      (await events('NicHotplug')).some((one) => one.type === 'Warning' && pattern.test(one.message)),
    )
  }
  const heals = async () => until('nothing is wrong any more', (vmi) => complaintOf(vmi) === undefined)
  const inGuest = (name: string) =>
    until(`the guest has ${name}`, (vmi) => statusOf(vmi, name)?.infoSource.includes('domain'))

  /** Everything of an interface that there is on the host, whatever Patchbay says. */
  const onHost = async (name: string, lease?: string) => {
    const { pod, bridge, tap } = linkNames(name)
    const links = await must('ip', ['-n', `pb-${uid}`, '-o', 'link'])
    const files = async (folder: string): Promise<string[]> => readdir(`${stage.dir}/${folder}`).catch(() => [])
    return {
      links: [pod, bridge, tap].filter((one) => links.includes(` ${one}@`) || links.includes(` ${one}:`)).length,
      card: (await stage.virshAt(uid, 'dumpxml', 'default_x')).includes(`<alias name='ua-${name}'/>`),
      cni: (await files('cni')).includes(`${uid}-${pod}.json`),
      dhcp: (await files(`pods/${uid}`)).some((file) => file === `dnsmasq-${bridge}.pid`),
      lease: lease !== undefined && (await files('ipam/tiny')).includes(lease),
    }
  }
  const nothing = { links: 0, card: false, cni: false, dhcp: false, lease: false }
  const leavesNothing = (name: string) =>
    eventually(
      `nothing of ${name} is on the host`,
      async () => {
        assert.deepEqual(await onHost(name), nothing)
        return true
      },
      { deadlineMs: patienceMs },
    )
  /** Other interfaces obey as ever. */
  const othersObey = async () => {
    for (const link of ['down', 'up']) {
      await setState('base', link)
      await until(`base is ${link}`, (vmi) => statusOf(vmi, 'base').linkState === link)
    }
  }
  const unplug = async (name: string) => {
    await setState(name, 'absent')
    await eventually(`the VM forgets ${name}`, async () => (await indexOf(name)) < 0, { deadlineMs: patienceMs })
    await leavesNothing(name)
  }
  const ports = async (bridge: string) =>
    (await must('ip', ['-o', 'link', 'show', 'master', bridge]).catch(() => '')).split('\n').filter(Boolean).length

  for (const [network, pattern] of [
    ['broken', /^interface "n" cannot be plugged: CNI plugin "broken" .* failed: no port left on the switch/],
    ['hanging', /^interface "n" cannot be plugged: CNI plugin "hanging" .* did not end within 2 s and was killed/],
    ['missing', /^interface "n" cannot be plugged: .*default\/missing, which does not exist .*; create it, or change/],
  ] as const)
    test(`plugging into a network that is ${network} is told and tried again, leaves nothing, and heals`, async () => {
      await add('n', network)
      await complains(pattern)
      await leavesNothing('n')
      await othersObey()
      await stage.apply(nad(network))
      await inGuest('n')
      await heals()
      assert.deepEqual(await onHost('n'), { ...nothing, links: 3, card: true, cni: true })
      await unplug('n')
      await stage.apply(nad(network, config(network, { type: network === 'missing' ? 'bridge' : network })))
    })

  test('a plugin that fails is run again after longer and longer rests, whatever else goes on', async () => {
    await writeFile(attempts, '')
    const tries = async () => (await must('cat', [attempts])).split('\n').filter((line) => line === 'ADD').length
    const began = performance.now()
    await add('n1', 'broken')
    await complains(/no port left/)
    // Passes come by the dozen with these.
    for (let i = 0; i < 100 && (await tries()) < 3; i++) await othersObey()
    const seen = await tries()
    assert.ok(seen >= 3, `${seen} tries only`)
    // 250 ms between the first two, then 500, then 1000 and so on.
    const most = Math.log2((performance.now() - began) / 250 + 1) + 1
    assert.ok(seen <= most, `${seen} tries, not ${most} at most`)
    await setNetwork('n1', 'red')
    await inGuest('n1')
    await heals()
    await unplug('n1')
  })

  test('an exhausted pool is told, and its next address is taken when one is given back', async () => {
    const lease = '192.168.90.10'
    await add('first', 'tiny')
    await inGuest('first')
    await add('second', 'tiny')
    await complains(/^interface "second" cannot be plugged: .* no IP addresses available in range set/)
    await leavesNothing('second')
    assert.deepEqual(await onHost('first', lease), { links: 3, card: true, cni: true, dhcp: true, lease: true })
    // It is tried again and again, and each time the plugin joins a link before it asks for an address.
    await eventually('only the first is on br-tiny', async () => (await ports('br-tiny')) === 1, {
      deadlineMs: patienceMs,
    })
    await unplug('first')
    await inGuest('second')
    await heals()
    assert.equal((await onHost('second', lease)).lease, true)
    // And for a card that moves: it stays where it is until there is an address for it.
    await add('third', 'red')
    await inGuest('third')
    await setNetwork('third', 'tiny')
    await complains(/^interface "third" cannot be moved to network default\/tiny and stays on default\/red: .* no IP/)
    assert.equal(await ports('br-red'), 1)
    await unplug('second')
    await until('it has moved', (vmi) => statusOf(vmi, 'third').ipAddress === lease)
    await heals()
    await eventually('br-red is left', async () => (await ports('br-red')) === 0, { deadlineMs: patienceMs })
    await unplug('third')
    assert.deepEqual(
      (await readdir(`${stage.dir}/ipam/tiny`)).filter((file) => file.startsWith('192.')),
      [],
    )
  })

  test('a link that is in the way is told, not touched, and made place for by whoever put it there', async () => {
    const { pod } = linkNames('n3')
    await must('ip', ['-n', `pb-${uid}`, 'link', 'add', pod, 'type', 'bridge'])
    await add('n3', 'red')
    await complains(new RegExp(`^interface "n3" cannot be plugged: a link called ${pod} is in the sandbox already`))
    assert.match(await must('ip', ['-n', `pb-${uid}`, '-d', 'link', 'show', pod]), / bridge /)
    assert.deepEqual(await onHost('n3'), { ...nothing, links: 1 })
    await must('ip', ['-n', `pb-${uid}`, 'link', 'delete', pod])
    await inGuest('n3')
    await heals()
    await unplug('n3')
  })

  test('a NAD that is deleted while in use changes nothing for its card, also over a restart of Patchbay', async () => {
    await add('n4', 'red')
    await inGuest('n4')
    await stage.k('delete', 'net-attach-def', 'red')
    await stage.kill()
    await stage.up(['--cni-bin-dir', `/usr/lib/cni,${plugins}`, '--cni-timeout', '2'])
    await othersObey()
    assert.deepEqual(await onHost('n4'), { ...nothing, links: 3, card: true, cni: true })
    assert.equal(complaintOf(await look()), undefined)
    // Somebody takes its link away: it is made again as it was made.
    await must('ip', ['-n', `pb-${uid}`, 'link', 'delete', linkNames('n4').pod])
    await stage.kill()
    await stage.up(['--cni-bin-dir', `/usr/lib/cni,${plugins}`, '--cni-timeout', '2'])
    await eventually('it is mended', async () => (await onHost('n4')).links === 3 && (await ports('br-red')) === 1, {
      deadlineMs: patienceMs,
    })
    await unplug('n4')
    await eventually('nobody needs its bridge', async () => !(await must('ip', ['-o', 'link'])).includes('br-red:'), {
      deadlineMs: patienceMs,
    })
    await stage.apply(nad('red'))
  })

  test('what libvirt refuses for want of a port leaves no card, and is plugged when a port is free', async () => {
    const names: string[] = []
    for (let full = false; !full; ) {
      const name = `p${names.length}`
      names.push(name)
      await add(name, 'red')
      const vmi = await until(
        'plugged or told',
        (one) => statusOf(one, name)?.infoSource.includes('domain') || complaintOf(one),
      )
      full = complaintOf(vmi) !== undefined
    }
    const last = names.pop()!
    await complains(new RegExp(`^interface "${last}" cannot be plugged: No more available PCI slots`))
    assert.equal((await onHost(last)).card, false)
    await othersObey()
    await unplug(names.pop()!)
    await inGuest(last)
    await heals()
    await unplug(last)
    for (const name of names) await unplug(name)
  })

  test('a paused guest does not let go: it is told, asked again, and the card goes when it runs again', async () => {
    await add('n6', 'red')
    await inGuest('n6')
    await stage.virsh('x', 'suspend', 'default_x')
    await setState('n6', 'absent')
    await complains(/^interface "n6" cannot be unplugged: The guest has not let go .*is it paused/)
    assert.deepEqual(await onHost('n6'), { ...nothing, links: 3, card: true, cni: true })
    await stage.virsh('x', 'resume', 'default_x')
    await eventually('the VM forgets it', async () => (await indexOf('n6')) < 0, { deadlineMs: patienceMs })
    await leavesNothing('n6')
    await heals()
  })

  test('a guest without PCI hot plug keeps its card, which is told, until absent is taken back or it is restarted', async () => {
    // The demo guest takes cards by ACPI; pcie_ports=compat alone does not keep it from that.
    const deaf = vm('deaf', { secondary: { base: 'up' }, graceSeconds: 0, memory: '96Mi' })
    deaf.spec.template.spec.domain.firmware.kernelBoot.kernelArgs += ' acpiphp.disable=1 pcie_ports=compat'
    await stage.apply(deaf)
    await stage.waitFor('deaf', 'AgentConnected')
    const set = async (value: string) =>
      stage.k(
        ...['patch', 'vm', 'deaf', '--type=json', '-p'],
        JSON.stringify([{ op: 'add', path: `${at}/domain/devices/interfaces/1/state`, value }]),
      )
    const pattern = /^interface "base" cannot be unplugged: The guest has not let go .* booted without PCIe hot plug/
    await set('absent')
    await complains(pattern, 'deaf')
    await set('up')
    await until('taken back', (vmi) => complaintOf(vmi) === undefined, 'deaf')
    assert.equal(statusOf(await look('deaf'), 'base').linkState, 'up')
    await set('absent')
    await complains(pattern, 'deaf')
    await stage.k('delete', 'vmi', 'deaf', `--timeout=${patienceMs / 1000}s`)
    await eventually('it starts without', async () => (await indexOf('base', 'deaf')) < 0, { deadlineMs: patienceMs })
    await stage.k('delete', 'vm', 'deaf', `--timeout=${patienceMs / 1000}s`)
  })

  test('a plugin that cannot delete is told while a card leaves or moves, and while its pod goes; it is tried until it can', async () => {
    const away = /CNI plugin "sticky" of network "sticky" \(DEL\) failed: the switch is away/
    await add('n8', 'sticky')
    await inGuest('n8')
    await must('touch', [`${stage.dir}/stuck`])
    await setNetwork('n8', 'red')
    await complains(away)
    await eventually('it has moved all the same', async () => (await ports('br-red')) === 1, { deadlineMs: patienceMs })
    assert.equal((await onHost('n8')).cni, true, 'what is to be deleted is forgotten')
    await must('rm', [`${stage.dir}/stuck`])
    await heals()
    await eventually('it is deleted', async () => (await ports('br-sticky')) === 0, { deadlineMs: patienceMs })
    await unplug('n8')
    await add('n8', 'sticky')
    await inGuest('n8')
    await must('touch', [`${stage.dir}/stuck`])
    await setState('n8', 'absent')
    await complains(away)
    await othersObey()
    await stage.k('delete', 'vm', 'x', '--wait=false')
    const told = /^the sandbox of pod virt-launcher-x-\S+ cannot be removed, and is tried again: .*the switch is away/
    await eventually('the event', async () =>
      (await events('FailedKillPod')).some((one) => one.type === 'Warning' && told.test(one.message)),
    )
    await must('rm', [`${stage.dir}/stuck`])
    await eventually('the VM is gone', async () => (await stage.api.call('GET', path.vm('x'))).code === 404, {
      deadlineMs: patienceMs,
    })
    assert.deepEqual(
      (await readdir(`${stage.dir}/cni`)).filter((file) => file.startsWith(uid)),
      [],
    )
    assert.ok(!(await must('ip', ['netns'])).includes(uid))
  })
})
