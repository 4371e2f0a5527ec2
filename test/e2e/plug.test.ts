import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { eventually } from '#base/wait.ts'
import { path } from '../../tools/stage/api.ts'
import { provideDemoGuest } from '../../tools/stage/image.ts'
import { addition, nad, vm } from '../../tools/stage/manifests.ts'
import { must } from '../../tools/stage/program.ts'
import { patienceMs, Stage } from '../../tools/stage/stage.ts'
import { agreement, type Identity, identityOf } from '../../tools/stage/views.ts'

const ipam = { type: 'host-local', subnet: '192.168.78.0/24' }
const lan = nad('lan', { cniVersion: '0.4.0', name: 'lan', type: 'bridge', bridge: 'br-lan', ipam })

// biome-ignore lint/suspicious/noExplicitAny: objects of the API, looked into as they come
type Any = any

describe('plugging interfaces of real guests', () => {
  let stage: Stage
  let identity: Identity

  before(async () => {
    stage = await Stage.open()
    await provideDemoGuest(stage)
    await stage.up()
    await stage.apply(lan, nad('blue'))
    await stage.apply(vm('x', { graceSeconds: 0 }), vm('y', { secondary: { lan: 'up' }, graceSeconds: 0 }))
    for (const name of ['x', 'y']) await stage.waitFor(name, 'AgentConnected')
    identity = await identityOf(stage, 'x')
  })
  after(() => stage[Symbol.asyncDispose]())

  const at = '/spec/template/spec'
  const add = (name: string, more: Readonly<Record<string, string>> = {}) => addition(name, name, more)
  const patch = (operations: readonly object[]) =>
    stage.k('patch', 'vm', 'x', '--type=json', '-p', JSON.stringify(operations))
  const setState = async (name: string, value: string) => {
    const { body } = await stage.api.call('GET', path.vm('x'))
    const i = body.spec.template.spec.domain.devices.interfaces.findIndex((one: Any) => one.name === name)
    await patch([{ op: 'add', path: `${at}/domain/devices/interfaces/${i}/state`, value }])
  }
  const until = (what: string, isDone: (vm: Any, vmi: Any) => unknown) =>
    eventually(
      what,
      async () => {
        const [{ body: object }, { body: vmi }] = await Promise.all([
          stage.api.call('GET', path.vm('x')),
          stage.api.call('GET', path.vmi('x')),
        ])
        return Boolean(isDone(object, vmi)) && { object, vmi }
      },
      { deadlineMs: patienceMs },
    )
  const names = (spec: Any) => spec.domain.devices.interfaces.map((one: Any) => one.name).join()
  const statusOf = (vmi: Any, name: string) => vmi.status?.interfaces?.find((one: Any) => one.name === name)
  /** What must be as before whatever is plugged: all but the new devices. */
  const untouched = async () => {
    const now = await identityOf(stage, 'x')
    assert.deepEqual([now.qemuPid, now.podUid], [identity.qemuPid, identity.podUid])
    assert.ok(now.pciAddresses.startsWith(identity.pciAddresses), `${now.pciAddresses} and ${identity.pciAddresses}`)
    assert.ok(now.ifindexes.startsWith(identity.ifindexes), `${now.ifindexes} and ${identity.ifindexes}`)
    const { body } = await stage.api.call('GET', '/apis/kubevirt.io/v1/virtualmachineinstancemigrations')
    assert.deepEqual(body.items, [])
  }

  test('a card is plugged in place with its link down, and raised; the guest reaches another VM over it', async () => {
    await patch(add('lan', { state: 'down' }))
    const { vmi, object } = await until('the guest has it', (_, one) => statusOf(one, 'lan')?.interfaceName)
    const { mac, linkState, infoSource, queueCount, podInterfaceName } = statusOf(vmi, 'lan')
    assert.equal(mac, object.spec.template.spec.domain.devices.interfaces[1].macAddress)
    assert.deepEqual([linkState, infoSource, queueCount], ['down', 'domain, guest-agent, multus-status', 1])
    assert.match(podInterfaceName, /^pod[0-9a-f]{11}$/)
    await agreement(stage, 'x', { default: 'up', lan: 'down' }, performance.now())
    await setState('lan', 'up')
    await agreement(stage, 'x', { default: 'up', lan: 'up' }, performance.now())
    const { body: other } = await stage.api.call('GET', path.vmi('y'))
    const address = statusOf(other, 'lan').ipAddress
    const ping = () => stage.guest('x', `ping -c 1 -W 1 ${address} >/dev/null && echo reached || echo lost`)
    await eventually('they reach each other', async () => (await ping()) === 'reached', { deadlineMs: patienceMs })
    assert.equal(
      object.status.conditions.find((one: Any) => one.type === 'RestartRequired'),
      undefined,
    )
    await untouched()
  })

  test('another one is plugged and the first unplugged in one patch; nothing of it is left on the host', async () => {
    const netns = `pb-${identity.podUid}`
    const linksOf = async () =>
      (await must('ip', ['-n', netns, '-o', 'link'])).match(/(?:pod|tap|k6t-)[0-9a-f]{11}/g) ?? []
    const before = new Set(await linksOf())
    assert.equal(before.size, 3)
    const { body } = await stage.api.call('GET', path.vm('x'))
    const i = body.spec.template.spec.domain.devices.interfaces.findIndex((one: Any) => one.name === 'lan')
    await patch([
      { op: 'replace', path: `${at}/domain/devices/interfaces/${i}/state`, value: 'absent' },
      ...add('blue', { macAddress: '02:00:00:00:77:01' }),
    ])
    const { vmi } = await until(
      'one has gone and the other come',
      (object, one) => names(object.spec.template.spec) === 'default,blue' && statusOf(one, 'blue')?.interfaceName,
    )
    assert.equal(names(vmi.spec), 'default,blue')
    assert.equal(statusOf(vmi, 'blue').mac, '02:00:00:00:77:01')
    await eventually('its links are gone', async () => !(await linksOf()).some((link) => before.has(link)), {
      deadlineMs: patienceMs,
    })
    await agreement(stage, 'x', { default: 'up', blue: 'up' }, performance.now())
    await untouched()
  })

  test('a plugged card outlives kill -9 of Patchbay, and so does the wish to unplug it', async () => {
    await setState('blue', 'down')
    await stage.kill()
    await stage.up()
    await agreement(stage, 'x', { default: 'up', blue: 'down' }, performance.now())
    await setState('blue', 'absent')
    await stage.kill()
    await stage.up()
    await until('it has gone', (object) => names(object.spec.template.spec) === 'default')
    assert.deepEqual(await identityOf(stage, 'x'), identity)
  })

  test('a network that does not exist is told; what is declared heals when it comes', async () => {
    await patch(add('late'))
    const { vmi } = await until('told', (_, one) =>
      one.status.conditions.some((two: Any) => two.type === 'Synchronized'),
    )
    const { message } = vmi.status.conditions.find((one: Any) => one.type === 'Synchronized')
    assert.match(
      message,
      /^interface "late" cannot be plugged: .*NetworkAttachmentDefinition default\/late, which does not exist/,
    )
    await stage.apply(nad('late'))
    await until('plugged', (_, one) => statusOf(one, 'late')?.interfaceName)
    await setState('late', 'absent')
    await until('it has gone', (object) => names(object.spec.template.spec) === 'default')
    await untouched()
  })

  test('as many cards as there are ports are plugged; one more is told with a remedy, and the guest goes on', async () => {
    const cards = Array.from({ length: 7 }, (_, i) => `n${i}`)
    await patch(
      cards.flatMap((name) => {
        const [nic, network] = add(name)
        return [nic!, { ...network, value: { name, multus: { networkName: 'blue' } } }]
      }),
    )
    const { vmi } = await until('told', (_, one) =>
      one.status.conditions.some((two: Any) => two.type === 'Synchronized'),
    )
    const { message } = vmi.status.conditions.find((one: Any) => one.type === 'Synchronized')
    assert.match(message, /cannot be plugged: No more available PCI slots: .* unplug another one, or restart the VM/)
    const plugged = cards.filter((name) => statusOf(vmi, name)?.infoSource.includes('domain'))
    assert.ok(plugged.length >= 3, `only ${plugged}`)
    assert.equal(vmi.status.phase, 'Running')
    await untouched()
  })

  describe('over stops and starts', () => {
    const object = async (): Promise<Any> => (await stage.api.call('GET', path.vm('y'))).body
    const instance = async (): Promise<Any> => (await stage.api.call('GET', path.vmi('y'))).body
    const edit = (operations: readonly object[]) =>
      stage.k('patch', 'vm', 'y', '--type=json', '-p', JSON.stringify(operations))
    const states = async (wanted: Readonly<Record<string, string>>) => {
      const { interfaces } = (await object()).spec.template.spec.domain.devices
      const at = (name: string) => interfaces.findIndex((one: Any) => one.name === name)
      await edit(
        Object.entries(wanted).map(([name, value]) => ({
          op: 'add',
          path: `/spec/template/spec/domain/devices/interfaces/${at(name)}/state`,
          value,
        })),
      )
    }
    const seen = (what: string, isDone: () => Promise<unknown>) =>
      eventually(what, async () => Boolean(await isDone()), { deadlineMs: patienceMs })
    const inGuest = async (name: string) => statusOf(await instance(), name)?.interfaceName
    const hasAgent = async () =>
      (await instance()).status?.conditions?.some(({ type }: Any) => type === 'AgentConnected')

    test('a plugged card is an ordinary one after a restart; addresses are the same; what cannot be plugged waits', async () => {
      await edit(add('blue'))
      await seen('it is plugged', () => inGuest('blue'))
      const { pciAddresses } = await identityOf(stage, 'y')
      const { spec } = await instance()
      await edit([
        { op: 'add', path: `${at}/domain/devices/interfaces/-`, value: { name: 'fast', binding: { name: 'macvtap' } } },
        { op: 'add', path: `${at}/networks/-`, value: { name: 'fast', multus: { networkName: 'blue' } } },
      ])
      await seen('a restart is required', async () =>
        (await object()).status.conditions.some(({ type }: Any) => type === 'RestartRequired'),
      )
      assert.deepEqual((await instance()).spec, spec)
      const last = names((await object()).spec.template.spec)
        .split(',')
        .indexOf('fast')
      await edit([
        { op: 'remove', path: `${at}/domain/devices/interfaces/${last}` },
        { op: 'remove', path: `${at}/networks/${last}` },
      ])
      await stage.k('delete', 'vmi', 'y', `--timeout=${patienceMs / 1000}s`)
      await seen('it runs again', hasAgent)
      assert.equal((await identityOf(stage, 'y')).pciAddresses, pciAddresses)
      assert.equal(names((await instance()).spec), 'default,lan,blue')
    })

    test('on a stopped VM one that is added comes with the next start, one that is absent is gone at once, and so is the last', async () => {
      await stage.k('patch', 'vm', 'y', '--type=merge', '-p', '{"spec":{"runStrategy":"Halted"}}')
      await seen('it has stopped', async () => (await object()).status.printableStatus === 'Stopped')
      await edit(add('late'))
      await states({ blue: 'absent' })
      await seen('it is gone', async () => names((await object()).spec.template.spec) === 'default,lan,late')
      await stage.k('patch', 'vm', 'y', '--type=merge', '-p', '{"spec":{"runStrategy":"Always"}}')
      await seen('the guest has it', () => inGuest('late'))
      await states({ lan: 'absent', late: 'absent' })
      await seen('the last one is gone', async () => names((await object()).spec.template.spec) === 'default')
      assert.equal(names((await instance()).spec), 'default')
      await seen(
        'its pod asks for none',
        async () => !(await stage.pod('y')).metadata.annotations['k8s.v1.cni.cncf.io/networks'],
      )
    })
  })
})
