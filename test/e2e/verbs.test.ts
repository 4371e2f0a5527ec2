import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { eventually } from '#base/wait.ts'
import { path } from '../../tools/stage/api.ts'
import { provideDemoGuest } from '../../tools/stage/image.ts'
import { nad, vm } from '../../tools/stage/manifests.ts'
import { patienceMs, Stage } from '../../tools/stage/stage.ts'
import { agreement, type Identity, identityOf } from '../../tools/stage/views.ts'

describe('the commands on a real guest', () => {
  let stage: Stage
  let identity: Identity

  before(async () => {
    stage = await Stage.open()
    await provideDemoGuest(stage)
    await stage.up()
    const manifest = vm('x', { secondary: { blue: 'up' }, graceSeconds: 0 })
    const readinessProbe = { exec: { command: ['/bin/cat', '/tmp/well'] }, periodSeconds: 1, failureThreshold: 1 }
    const livenessProbe = { guestAgentPing: {}, periodSeconds: 2, timeoutSeconds: 10, initialDelaySeconds: 60 }
    Object.assign(manifest.spec.template.spec, { readinessProbe, livenessProbe })
    await stage.apply(nad('blue'), nad('red'), manifest, vm('y', { graceSeconds: 0 }))
    for (const name of ['x', 'y']) await stage.waitFor(name, 'AgentConnected')
    identity = await identityOf(stage, 'x')
  })
  after(() => stage[Symbol.asyncDispose]())

  const patchbay = (...args: readonly string[]) => stage.p(...args)
  const state = () => stage.virsh('x', 'domstate', 'default_x')

  test('a probe by a command in the guest goes by its exit code', async () => {
    await stage.waitFor('x', 'Ready=False')
    await stage.guest('x', 'touch /tmp/well')
    await stage.waitFor('x', 'Ready')
    await stage.guest('x', 'rm /tmp/well')
    await stage.waitFor('x', 'Ready=False')
    await stage.guest('x', 'touch /tmp/well')
    await stage.waitFor('x', 'Ready')
  })

  test('kubectl logs shows what a guest said on its serial console', async () => {
    await stage.guest('x', 'echo said by the guest > /dev/ttyS0')
    const pod = (await stage.pod('x')).metadata.name as string
    await eventually('it is in the log', async () => /said by the guest/.test(await stage.k('logs', pod, '--tail=5')))
    assert.match(await stage.k('logs', pod), /Linux version \d/)
  })

  test('a drain evicts a guest in order, and it runs again when its node is back', async () => {
    const node = (await stage.pod('y')).spec.nodeName as string
    const uid = (await stage.pod('y')).metadata.uid as string
    await stage.k('drain', node, '--pod-selector=vm.kubevirt.io/name=y', '--delete-emptydir-data', '--timeout=60s')
    await eventually('y waits for a node', async () => {
      const { body } = await stage.api.call('GET', path.vm('y'))
      return body.status.printableStatus === 'ErrorUnschedulable'
    })
    await stage.k('uncordon', node)
    await stage.waitFor('y', 'AgentConnected')
    assert.notEqual((await stage.pod('y')).metadata.uid, uid)
  })

  test('pause and unpause stop and resume the CPUs, and return when that is so', async () => {
    assert.equal(await patchbay('pause', 'vm', 'x'), 'VMI x was scheduled to pause\n')
    assert.equal(await state(), 'paused')
    assert.equal(await patchbay('unpause', 'vmi', 'x'), 'VMI x was scheduled to unpause\n')
    assert.equal(await state(), 'running')
  })

  test('link pulls a cable and waits for the hypervisor, nics shows it, flap leaves it as it was', async () => {
    await patchbay('link', 'down', 'x', 'blue', '--wait')
    assert.match(await stage.virsh('x', 'domif-getlink', 'default_x', 'tap16477688c0e'), /down$/)
    await agreement(stage, 'x', { default: 'up', blue: 'down' }, performance.now())
    const lines = (await patchbay('nics', 'x')).trimEnd().split('\n')
    assert.match(lines[0] ?? '', /^NAME +NETWORK/)
    assert.match(lines.find((line) => line.startsWith('blue')) ?? '', / down +down +eth1/)
    await patchbay('flap', 'x', 'blue', '--down', '200ms', '--up', '200ms', '--count', '2')
    await agreement(stage, 'x', { default: 'up', blue: 'down' }, performance.now())
    await patchbay('link', 'up', 'x', 'blue', '--wait')
    await agreement(stage, 'x', { default: 'up', blue: 'up' }, performance.now())
    assert.deepEqual(await identityOf(stage, 'x'), identity)
  })

  test('plug gives a guest a card and unplug takes it away, and both wait for the guest', async () => {
    const before = await identityOf(stage, 'y')
    assert.match(await patchbay('nics', 'y'), /\nPorts: 4 free of 8\n$/)
    const plan = await patchbay('plug', 'y', 'nic1', '--network', 'blue', '--dry-run')
    assert.match(plan, /^plug interface "nic1" into default\/blue, link up \(live\)\n/)
    const said = await patchbay('plug', 'y', 'nic1', '--network', 'blue', '--mac', '02:00:00:00:88:01', '--wait')
    assert.match(said, /is in the hypervisor, link up, MAC 02:00:00:00:88:01; the guest calls it eth1, after /)
    assert.match(await stage.guest('y', 'cat /sys/class/net/eth1/address'), /^02:00:00:00:88:01$/)
    assert.match(await patchbay('nics', 'y'), /\nPorts: 3 free of 8\n$/)
    const moved = await patchbay('rewire', 'y', 'nic1', '--network', 'red', '--dry-run')
    assert.match(moved, /^update network of interface "nic1": default\/blue -> default\/red \(\w+\)\n/)
    await patchbay('unplug', 'y', 'nic1', '--wait')
    assert.equal(await stage.guest('y', 'ls /sys/class/net | grep -c eth'), '1')
    assert.match(await patchbay('nics', 'y'), /\nPorts: 4 free of 8\n$/)
    assert.deepEqual(await identityOf(stage, 'y'), before)
  })

  test("addinterface and removeinterface do as KubeVirt 1.0's did, without a migration", async () => {
    const eths = () => stage.guest('y', 'ls /sys/class/net | grep -c eth')
    const until = (count: string) =>
      eventually(`the guest has ${count}`, async () => (await eths()) === count, { deadlineMs: patienceMs })
    await patchbay('addinterface', 'y', '--network-attachment-definition-name', 'default/red', '--name', 'nic2')
    await until('2')
    await patchbay('removeinterface', 'y', '--name', 'nic2')
    await until('1')
    await eventually(
      'the VM forgets it',
      async () => {
        const { body } = await stage.api.call('GET', path.vm('y'))
        return body.spec.template.spec.domain.devices.interfaces.length === 1
      },
      { deadlineMs: patienceMs },
    )
  })

  test('guestosinfo tells what the guest tells of itself', async () => {
    const info = JSON.parse(await patchbay('guestosinfo', 'y'))
    assert.equal(info.os.kernelRelease, await stage.guest('y', 'uname -r'))
    assert.deepEqual([info.os.machine, info.hostname], ['x86_64', await stage.guest('y', 'hostname')])
    assert.match(info.guestAgentVersion, /^\d+\./)
    const { body } = await stage.api.call('GET', path.vmi('y'))
    assert.deepEqual(body.status.guestOSInfo, info.os)
  })

  test('soft-reboot and reset begin the guest anew in the same QEMU', async () => {
    const qemu = await stage.qemuPid('y')
    const bootId = () => stage.guest('y', 'cat /proc/sys/kernel/random/boot_id')
    const before = await bootId()
    // The console is asked, not the agent: a command to one that is about to go would be waited for in vain.
    const count = async (text: string) => (await stage.readSandbox('y', 'run/console.log')).split(text).length - 1
    const more = async (text: string, than: number) =>
      eventually(`the console says "${text}" again`, async () => (await count(text)) > than, { deadlineMs: patienceMs })
    const ups = await count('demo-guest is up')
    for (const verb of ['soft-reboot', 'reset']) {
      const kernels = await count('Linux version')
      assert.equal(await patchbay(verb, 'y'), `VMI y was scheduled to ${verb}\n`)
      await more('Linux version', kernels)
    }
    await more('demo-guest is up', ups)
    await stage.waitFor('y', 'AgentConnected')
    assert.notEqual(await bootId(), before)
    assert.equal(await stage.qemuPid('y'), qemu)
  })

  test('metrics count what goes over the interfaces', async () => {
    const counted = async (direction: string) => {
      const { body } = await stage.api.call('GET', '/metrics')
      const line = new RegExp(
        `^kubevirt_vmi_network_${direction}_bytes_total\\{[^}]*\\bname="x"[^}]*interface="default"\\} (\\d+)$`,
        'm',
      )
      return Number(line.exec(String(body))?.[1] ?? Number.NaN)
    }
    const before = { receive: await counted('receive'), transmit: await counted('transmit') }
    await stage.guest('x', 'ping -c 5 -i 0.2 -s 1000 10.244.0.1 >/dev/null')
    // Five requests and answers of over a thousand bytes each, as the guest sees them.
    assert.ok((await counted('transmit')) - before.transmit >= 5000)
    assert.ok((await counted('receive')) - before.receive >= 5000)
  })

  test('the traffic of an instance counts what goes over its interfaces', async () => {
    const counted = async () => {
      const at = path.vmi('x').replace('/kubevirt.io/', '/subresources.kubevirt.io/')
      const { body } = await stage.api.call('GET', `${at}/traffic`)
      const names = body.interfaces.map(({ name }: { name: string }) => name)
      assert.deepEqual(names.toSorted(), ['blue', 'default'])
      return body.interfaces.find(({ name }: { name: string }) => name === 'default')
    }
    const before = await counted()
    await stage.guest('x', 'ping -c 5 -i 0.2 -s 1000 10.244.0.1 >/dev/null')
    const after = await counted()
    for (const way of ['rx', 'tx']) {
      assert.ok(after[`${way}Bytes`] - before[`${way}Bytes`] >= 5000, way)
      assert.ok(after[`${way}Packets`] - before[`${way}Packets`] >= 5, way)
    }
  })

  test('restart brings another guest, stop and start end and begin one', async () => {
    const printable = (wanted: string) =>
      eventually(
        `the VM is ${wanted}`,
        async () => (await stage.api.call('GET', path.vm('x'))).body.status?.printableStatus === wanted,
        { deadlineMs: patienceMs },
      )
    assert.equal(await patchbay('restart', 'x'), 'VM x was scheduled to restart\n')
    await eventually('another pod', async () => (await stage.pod('x'))?.metadata.uid !== identity.podUid, {
      deadlineMs: patienceMs,
    })
    await printable('Running')
    assert.equal(await patchbay('stop', 'x'), 'VM x was scheduled to stop\n')
    await printable('Stopped')
    assert.equal(await patchbay('start', 'x', '--paused'), 'VM x was scheduled to start\n')
    await printable('Paused')
    assert.equal(await state(), 'paused')
    await patchbay('unpause', 'vm', 'x')
    await stage.waitFor('x', 'AgentConnected')
  })
})
