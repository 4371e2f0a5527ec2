import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { eventually } from '#base/wait.ts'
import { path } from '../../tools/stage/api.ts'
import { provideDemoGuest } from '../../tools/stage/image.ts'
import { nad, vm } from '../../tools/stage/manifests.ts'
import { must } from '../../tools/stage/program.ts'
import { patienceMs, Stage } from '../../tools/stage/stage.ts'
import { agreement } from '../../tools/stage/views.ts'

// biome-ignore lint/suspicious/noExplicitAny: objects of the API, looked into as they come
type Any = any

const subnets = { blue: '192.168.9', green: '192.168.10' } as const

/** KubeVirt without its controller of dynamic networks: what changes of a running VM's networks comes by a migration. */
describe('networks of real guests that come by migration', () => {
  let stage: Stage

  before(async () => {
    stage = await Stage.open()
    await provideDemoGuest(stage)
    await stage.up()
    await stage.configure({
      configuration: {
        network: {
          attachment: 'Migration',
          permitBridgeInterfaceOnPodNetwork: true,
          autoMigration: { gracePeriodSeconds: 1, recheckSeconds: 0.2, updateDelaySeconds: 0.2 },
        },
      },
      workloadUpdateStrategy: { workloadUpdateMethods: ['LiveMigrate'] },
    })
    await stage.apply(nad('blue'), nad('green'))
    await stage.apply(
      vm('x', { graceSeconds: 0 }),
      vm('y', { graceSeconds: 0, binding: 'bridge', secondary: { blue: 'up' } }),
    )
    await stage.waitFor('x', 'AgentConnected')
  })
  after(() => stage[Symbol.asyncDispose]())

  const at = '/spec/template/spec'
  const patch = (operations: readonly object[]) =>
    stage.k('patch', 'vm', 'x', '--type=json', '-p', JSON.stringify(operations))
  const vmi = async (): Promise<Any> => (await stage.api.call('GET', path.vmi('x'))).body
  const until = (what: string, isDone: (vmi: Any, vm: Any) => unknown): Promise<Any> =>
    eventually(
      what,
      async () => {
        const { body } = await stage.api.call('GET', path.vm('x'))
        const now = await vmi()
        return Boolean(isDone(now, body)) && now
      },
      { deadlineMs: patienceMs },
    )
  const statusOf = (one: Any, name: string) => one.status?.interfaces?.find((nic: Any) => nic.name === name)
  const required = (one: Any) => one.status.conditions.find(({ type }: Any) => type === 'MigrationRequired')
  const migrations = async (): Promise<Any[]> => (await stage.api.call('GET', path.vmim())).body.items
  /** Whether the guest and the host's end of a network answer each other, in the network's own subnet. */
  const reaches = async (network: keyof typeof subnets): Promise<boolean> =>
    (await stage.guest('x', `ping -c 1 -W 1 ${subnets[network]}.1 > /dev/null && echo yes || echo no`)) === 'yes'
  const address = async () => {
    for (const [network, subnet] of Object.entries(subnets)) {
      await must('ip', ['addr', 'replace', `${subnet}.1/24`, 'dev', `br-${network}`]).catch(() => undefined) // not there yet
      await stage.guest('x', `ip addr add ${subnet}.2/24 dev eth1 2>/dev/null; true`)
    }
  }

  test('a card that is plugged waits for a migration, which comes by itself, and is reached', async () => {
    const { uid } = (await stage.pod('x')).metadata
    await patch([
      {
        op: 'add',
        path: `${at}/domain/devices/interfaces/-`,
        value: { name: 'nic', bridge: {}, macAddress: '02:00:00:00:88:01' },
      },
      { op: 'add', path: `${at}/networks/-`, value: { name: 'nic', multus: { networkName: 'blue' } } },
    ])
    const pending = await until('it waits', (one) => required(one))
    assert.deepEqual([required(pending).status, required(pending).reason], ['False', 'AutoMigrationPending'])
    assert.equal(statusOf(pending, 'nic'), undefined)
    const now = await until('the guest has it', (one) => statusOf(one, 'nic')?.interfaceName)
    const { mac, infoSource, linkState, queueCount } = statusOf(now, 'nic')
    assert.deepEqual([mac, linkState, queueCount], ['02:00:00:00:88:01', 'up', 1])
    assert.equal(infoSource, 'domain, guest-agent, multus-status')
    await until('nothing is required', (one) => !required(one))
    const { body: events } = await stage.api.call('GET', path.events)
    assert.ok(
      events.items.some(
        (one: Any) => one.reason === 'SuccessfulCreate' && one.message.includes('kubevirt-workload-update-'),
      ),
    )
    const [only, ...others] = await migrations()
    assert.equal(others.length, 0)
    assert.match(only.metadata.name, /^kubevirt-workload-update-/)
    assert.notEqual((await stage.pod('x')).metadata.uid, uid)
    await address()
    await eventually('it is reached', () => reaches('blue'), { deadlineMs: patienceMs })
  })

  test('its network is changed by a migration: reached on the new one, with the same MAC, and not on the old', async () => {
    const { body } = await stage.api.call('GET', path.vm('x'))
    const i = body.spec.template.spec.networks.findIndex(({ name }: Any) => name === 'nic')
    await patch([{ op: 'replace', path: `${at}/networks/${i}/multus/networkName`, value: 'green' }])
    await until('it is required', (one) => required(one)?.status === 'True')
    await until('it has moved', (one) => !required(one) && one.status.migrationState.completed)
    await address()
    await eventually('it is reached', () => reaches('green'), { deadlineMs: patienceMs })
    assert.equal(await reaches('blue'), false)
    const now = await vmi()
    assert.equal(statusOf(now, 'nic').mac, '02:00:00:00:88:01')
    assert.equal((await migrations()).length, 2)
    await agreement(stage, 'x', { default: 'up', nic: 'up' }, performance.now())
  })

  test('it goes off its network by a migration, with its link down at once, and back by another', async () => {
    const { body } = await stage.api.call('GET', path.vm('x'))
    const i = body.spec.template.spec.networks.findIndex(({ name }: Any) => name === 'nic')
    const onto = (value: string) => patch([{ op: 'replace', path: `${at}/networks/${i}/multus/networkName`, value }])
    const networks = async (): Promise<string[]> =>
      JSON.parse((await stage.pod('x')).metadata.annotations['k8s.v1.cni.cncf.io/network-status']).map(
        ({ name }: Any) => name,
      )
    await onto('patchbay-none')
    await until('its link is down', (one) => statusOf(one, 'nic').linkState === 'down')
    await until('it is off', (one) => !required(one) && statusOf(one, 'nic').podInterfaceName === undefined)
    assert.deepEqual(await networks(), ['patchbay-pod'])
    await onto('green')
    await until('it is back', (one) => !required(one) && statusOf(one, 'nic').podInterfaceName !== undefined)
    await until('its link is up', (one) => statusOf(one, 'nic').linkState === 'up')
    assert.deepEqual(await networks(), ['patchbay-pod', 'default/green'])
    await eventually('it is reached', () => reaches('green'), { deadlineMs: patienceMs })
    assert.equal((await migrations()).length, 4)
  })

  test('one that is unplugged leaves the guest at once and the rest by migration; absent is final, and nobody migrates unasked', async () => {
    await stage.configure({ workloadUpdateStrategy: { workloadUpdateMethods: [] } })
    const setState = (value: string) => patch([{ op: 'add', path: `${at}/domain/devices/interfaces/1/state`, value }])
    await setState('absent')
    await until('it left the guest', (one) => statusOf(one, 'nic')?.infoSource === 'multus-status')
    await setState('up')
    await until('a migration is required', (one) => required(one)?.status === 'True')
    assert.equal((await vmi()).spec.domain.devices.interfaces[1].state, 'absent')
    assert.equal((await migrations()).length, 4)
    await setState('absent')
    const said = await stage.p('migrate', 'x')
    assert.equal(said, 'VM x was scheduled to migrate\n')
    await until(
      'it has left',
      (one, own) => one.spec.networks.length === 1 && own.spec.template.spec.networks.length === 1,
    )
    await until('nothing is required', (one) => !required(one))
    assert.ok((await migrations()).some(({ metadata }) => metadata.name.startsWith('kubevirt-migrate-vm-')))
  })

  test('where the instance cannot move, another network needs a restart, and the guest keeps the one it has', async () => {
    await stage.waitFor('y', 'Ready')
    await stage.k(
      'patch',
      'vm',
      'y',
      '--type=json',
      '-p',
      JSON.stringify([{ op: 'replace', path: `${at}/networks/1/multus/networkName`, value: 'green' }]),
    )
    await stage.waitFor('y', 'RestartRequired')
    const { body } = await stage.api.call('GET', path.vmi('y'))
    assert.equal(body.spec.networks[1].multus.networkName, 'blue')
    assert.equal(body.status.conditions.find(({ type }: Any) => type === 'LiveMigratable').status, 'False')
  })
})
