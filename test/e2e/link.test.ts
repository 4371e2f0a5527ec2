import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { eventually } from '#base/wait.ts'
import { path } from '../../tools/stage/api.ts'
import { provideDemoGuest } from '../../tools/stage/image.ts'
import { flip, nad, vm } from '../../tools/stage/manifests.ts'
import { patienceMs, Stage } from '../../tools/stage/stage.ts'
import { agreement, type Identity, identityOf } from '../../tools/stage/views.ts'

describe('link state of a real guest', () => {
  let stage: Stage
  let identity: Identity

  before(async () => {
    stage = await Stage.open()
    await provideDemoGuest(stage)
    await stage.up()
    await stage.apply(nad('blue'), nad('green'), vm('x', { pod: 'up', secondary: { blue: 'down', green: undefined } }))
    await stage.waitFor('x', 'Ready')
    await stage.waitFor('x', 'AgentConnected')
  })
  after(() => stage[Symbol.asyncDispose]())

  test('a VM starts with any mix of links, and API, virsh and guest agree', async () => {
    await agreement(stage, 'x', { default: 'up', blue: 'down', green: 'up' }, performance.now())
    const links = await stage.k('get', 'vmi', 'x', '-o', 'jsonpath={.status.interfaces[*].linkState}')
    assert.equal(links, 'up down up')
    identity = await identityOf(stage, 'x')
  })

  test('one JSON patch flips several links of a running guest and touches nothing else', async () => {
    await stage.k('patch', 'vm', 'x', '--type=json', '-p', JSON.stringify(flip({ 0: 'down', 1: 'up' })))
    await agreement(stage, 'x', { default: 'down', blue: 'up', green: 'up' }, performance.now())
    assert.deepEqual(await identityOf(stage, 'x'), identity)
    const { body: vmObject } = await stage.api.call('GET', path.vm('x'))
    assert.ok(!vmObject.status.conditions.some((one: { type: string }) => one.type === 'RestartRequired'))
    const { body: migrations } = await stage.api.call('GET', '/apis/kubevirt.io/v1/virtualmachineinstancemigrations')
    assert.deepEqual(migrations.items, [])
  })

  test('status names every interface as the hypervisor and the guest agent know it', async () => {
    const interfaces = await eventually(
      'the guest agent names all devices',
      async () => {
        const { body } = await stage.api.call('GET', path.vmi('x'))
        const list = body.status.interfaces as Record<string, unknown>[]
        // The guest's word about addresses counts: until it has taken one, there is none.
        return list.every((one) => one.interfaceName !== undefined) && list[0]?.ipAddress !== undefined && list
      },
      { deadlineMs: patienceMs },
    )
    const { body } = await stage.api.call('GET', path.vm('x'))
    const declared = body.spec.template.spec.domain.devices.interfaces as { name: string; macAddress: string }[]
    assert.deepEqual(
      interfaces.map(({ name, mac }) => ({ name, macAddress: mac })),
      declared.map(({ name, macAddress }) => ({ name, macAddress })),
    )
    assert.deepEqual(
      interfaces.map((one) => one.podInterfaceName),
      ['eth0', 'pod16477688c0e', 'podba4788b226a'],
    )
    assert.deepEqual(
      interfaces.map((one) => one.interfaceName),
      ['eth0', 'eth1', 'eth2'],
    )
    assert.deepEqual(
      interfaces.map((one) => one.infoSource),
      ['domain, guest-agent', 'domain, guest-agent, multus-status', 'domain, guest-agent, multus-status'],
    )
    assert.deepEqual(
      interfaces.map((one) => one.queueCount),
      [1, 1, 1],
    )
    assert.match(String(interfaces[0]?.ipAddress), /^10\.244\.0\.\d+$/)
    const shown = await stage.p('nics', 'x')
    assert.match(shown, new RegExp(`eth0 10\\.0\\.2\\.2 \\(pod ${interfaces[0]?.ipAddress}\\)`))
  })

  test('a patch that was acknowledged survives kill -9 of Patchbay, and the guest never notices', async () => {
    await stage.k('patch', 'vm', 'x', '--type=json', '-p', JSON.stringify(flip({ 0: 'up', 1: 'down' })))
    await stage.kill()
    await stage.up()
    await agreement(stage, 'x', { default: 'up', blue: 'down', green: 'up' }, performance.now())
    assert.deepEqual(await identityOf(stage, 'x'), identity)
  })

  test('a killed libvirtd comes back and finds its guest', async () => {
    const pid = await stage.libvirtdPid('x')
    process.kill(pid, 'SIGKILL')
    await eventually('another libvirtd runs', async () => (await stage.libvirtdPid('x')) !== pid, {
      deadlineMs: patienceMs,
    })
    await stage.k('patch', 'vm', 'x', '--type=json', '-p', JSON.stringify(flip({ 1: 'up' })))
    await agreement(stage, 'x', { default: 'up', blue: 'up', green: 'up' }, performance.now())
    assert.deepEqual(await identityOf(stage, 'x'), identity)
  })

  test('the guest reaches the pod network through NAT, and not while its link is down', async () => {
    const ping = () => stage.guest('x', 'ping -c 1 -W 1 10.244.0.1 >/dev/null && echo reached || echo lost')
    await eventually('the gateway answers', async () => (await ping()) === 'reached', { deadlineMs: patienceMs })
    await stage.k('patch', 'vm', 'x', '--type=json', '-p', JSON.stringify(flip({ 0: 'down' })))
    await agreement(stage, 'x', { default: 'down' }, performance.now())
    assert.equal(await ping(), 'lost')
    await stage.k('patch', 'vm', 'x', '--type=json', '-p', JSON.stringify(flip({ 0: 'up' })))
    await eventually('the gateway answers again', async () => (await ping()) === 'reached', { deadlineMs: patienceMs })
  })

  test('isolate pulls every cable of a guest at once, and rejoin puts back those that were up', async () => {
    await stage.k('patch', 'vm', 'x', '--type=json', '-p', JSON.stringify(flip({ 1: 'down' })))
    await agreement(stage, 'x', { default: 'up', blue: 'down', green: 'up' }, performance.now())
    assert.match(await stage.p('isolate', 'x', '--wait'), /^VM x is isolated: links down: default, blue, green\n/)
    await agreement(stage, 'x', { default: 'down', blue: 'down', green: 'down' }, performance.now())
    assert.match(await stage.p('rejoin', 'x', '--wait'), /: links up: default, green; down: blue\n/)
    await agreement(stage, 'x', { default: 'up', blue: 'down', green: 'up' }, performance.now())
    assert.deepEqual(await identityOf(stage, 'x'), identity)
  })

  test('guests get the addresses CNI gave, reach each other over a NAD, not while a link is down, and again after', async () => {
    const ipam = { type: 'host-local', subnet: '192.168.77.0/24' }
    const network = nad('addressed', {
      cniVersion: '0.4.0',
      name: 'addressed',
      type: 'bridge',
      bridge: 'br-addressed',
      ipam,
    })
    const guests = ['y', 'z']
    await stage.configure({ configuration: { network: { permitBridgeInterfaceOnPodNetwork: true } } })
    await stage.apply(network)
    for (const name of guests)
      await stage.apply(vm(name, { binding: 'bridge', secondary: { addressed: 'up' }, graceSeconds: 0 }))
    for (const name of guests) await stage.waitFor(name, 'AgentConnected')
    const addresses = await eventually(
      'both guests have the addresses their status tells',
      async () => {
        const own = await Promise.all(
          guests.map(async (name) => {
            const { body } = await stage.api.call('GET', path.vmi(name))
            const told = body.status.interfaces.map((one: { ipAddress?: string }) => one.ipAddress) as string[]
            const seen = await stage.guest(name, 'ip -o -4 addr')
            return told.length === 2 && told.every((address) => seen.includes(` ${address}/`)) && told
          }),
        )
        return own.every((one) => one !== false) && own
      },
      { deadlineMs: patienceMs },
    )
    assert.match(await stage.guest('y', 'ip route'), /^default via 10\.244\.0\.1 dev eth0[^\n]*$(?![\s\S]*default)/m)
    const ping = () => stage.guest('y', `ping -c 1 -W 1 ${addresses[1]?.[1]} >/dev/null && echo reached || echo lost`)
    await eventually('they reach each other', async () => (await ping()) === 'reached', { deadlineMs: patienceMs })
    const before = await Promise.all(guests.map((name) => identityOf(stage, name)))
    await stage.k('patch', 'vm', 'z', '--type=json', '-p', JSON.stringify(flip({ 1: 'down' })))
    await agreement(stage, 'z', { addressed: 'down' }, performance.now())
    assert.equal(await ping(), 'lost')
    await stage.k('patch', 'vm', 'z', '--type=json', '-p', JSON.stringify(flip({ 1: 'up' })))
    await eventually('they reach each other again', async () => (await ping()) === 'reached', {
      deadlineMs: patienceMs,
    })
    assert.deepEqual(await Promise.all(guests.map((name) => identityOf(stage, name))), before)
    for (const name of guests) await stage.k('delete', 'vm', name, `--timeout=${patienceMs / 1000}s`)
  })
})
