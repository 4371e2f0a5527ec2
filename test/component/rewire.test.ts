import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { eventually } from '#base/wait.ts'
import { type Any, nadsPath, podsPath, vmisPath, vmsPath } from './api.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { condition, makeNamespace, nad, podOf, run, vm } from './manifests.ts'

describe('networks of a running VM', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster()
  })
  after(() => cluster?.stop())

  const start = async (
    nics: readonly Any[] = [{ name: 'a', nad: 'red' }],
    nads: readonly string[] = ['red', 'blue'],
  ) => {
    const ns = await makeNamespace(cluster.api, nads)
    await run(cluster.api, ns, vm('a', nics))
    return ns
  }
  const at = '/spec/template/spec'
  const onto = (network: string, i = 1) => ({
    op: 'replace',
    path: `${at}/networks/${i}/multus/networkName`,
    value: network,
  })
  const state = (value: string, i = 1) => ({
    op: 'add',
    path: `${at}/domain/devices/interfaces/${i}/state`,
    value,
  })
  const patch = (ns: string, ...operations: readonly object[]) => cluster.api.patch(vmsPath(ns, 'a'), operations)
  const statusOf = (vmi: Any, name = 'a') => vmi?.status?.interfaces?.find((one: Any) => one.name === name)
  const statusOfPod = (pod: Any): string[] =>
    JSON.parse(pod.metadata.annotations['k8s.v1.cni.cncf.io/network-status']).map((one: Any) => one.name)
  /** The sandbox has exactly these networks beside the pod's own. */
  const isOn = async (ns: string, ...networks: string[]) => {
    const { metadata } = await podOf(cluster.api, ns, 'a')
    const wanted = ['patchbay-pod', ...networks.map((one) => `${ns}/${one}`)].join()
    return cluster.api.until(`on ${wanted}`, podsPath(ns, metadata.name), (pod) => statusOfPod(pod).join() === wanted)
  }
  const trouble = (ns: string) =>
    cluster.api
      .until('told', vmisPath(ns, 'a'), (one) => condition(one, 'Synchronized'))
      .then((one) => condition(one, 'Synchronized').message as string)
  const healed = (ns: string) =>
    cluster.api.until('healed', vmisPath(ns, 'a'), (one) => !condition(one, 'Synchronized'))
  const eventsOf = async (ns: string, reason: string): Promise<string[]> =>
    (await cluster.api.list(`/api/v1/namespaces/${ns}/events`))
      .filter((event) => event.reason === reason)
      .map((event) => event.message)

  it('are changed in place: same pod, MAC and name; no migration, no restart, no word about its link', async () => {
    const ns = await start()
    const before = await podOf(cluster.api, ns, 'a')
    const { mac, podInterfaceName } = statusOf(await cluster.api.get(vmisPath(ns, 'a')))
    await patch(ns, onto('blue'))
    const pod = await isOn(ns, 'blue')
    assert.equal(pod.metadata.uid, before.metadata.uid)
    const [request] = JSON.parse(pod.metadata.annotations['k8s.v1.cni.cncf.io/networks'])
    assert.deepEqual([request.name, request.mac, request.interface], ['blue', mac, podInterfaceName])
    const vmi = await cluster.api.get(vmisPath(ns, 'a'))
    assert.deepEqual(
      [statusOf(vmi).mac, statusOf(vmi).linkState, statusOf(vmi).podInterfaceName],
      [mac, 'up', podInterfaceName],
    )
    assert.equal(vmi.spec.networks[1].multus.networkName, 'blue')
    assert.equal(condition(await cluster.api.get(vmsPath(ns, 'a')), 'RestartRequired'), undefined)
    assert.deepEqual(
      await cluster.api.list(`/apis/kubevirt.io/v1/namespaces/${ns}/virtualmachineinstancemigrations`),
      [],
    )
    await eventually('the event', async () => (await eventsOf(ns, 'NicRewired')).length > 0)
    const who = (await cluster.api.get(vmsPath(ns, 'a'))).metadata.annotations['patchbay.dev/network-changed-by']
    assert.deepEqual(await eventsOf(ns, 'NicRewired'), [
      `Interface "a" was moved from network ${ns}/red to ${ns}/blue, asked for by ${who}`,
    ])
    assert.ok(who)
    for (const reason of ['LinkChanged', 'LinkDrift', 'NicHotplug']) assert.deepEqual(await eventsOf(ns, reason), [])
  })

  it('are changed several at once, together with links, plugs and unplugs; across namespaces too', async () => {
    const other = await makeNamespace(cluster.api, ['far'])
    const ns = await start([
      { name: 'a', nad: 'red' },
      { name: 'b', nad: 'blue' },
      { name: 'c', nad: 'red' },
    ])
    await patch(
      ns,
      onto('blue'),
      onto(`${other}/far`, 2),
      state('down', 2),
      state('absent', 3),
      { op: 'add', path: `${at}/domain/devices/interfaces/-`, value: { name: 'd', bridge: {} } },
      { op: 'add', path: `${at}/networks/-`, value: { name: 'd', multus: { networkName: 'red' } } },
    )
    const { metadata } = await podOf(cluster.api, ns, 'a')
    await cluster.api.until(
      'all of it',
      podsPath(ns, metadata.name),
      (pod) => statusOfPod(pod).join() === `patchbay-pod,${ns}/blue,${other}/far,${ns}/red`,
    )
    const vmi = await cluster.api.until(
      'c has gone',
      vmisPath(ns, 'a'),
      (one) => !statusOf(one, 'c') && statusOf(one, 'd'),
    )
    assert.deepEqual(
      ['a', 'b', 'd'].map((name) => statusOf(vmi, name).linkState),
      ['up', 'down', 'up'],
    )
  })

  it('with addresses of their own change the address in the status', async () => {
    const ns = await makeNamespace(cluster.api, ['red'])
    await cluster.api.create(nadsPath(ns), nad('blue', { ipam: { type: 'host-local', subnet: '192.168.0.0/24' } }))
    await run(cluster.api, ns, vm('a', [{ name: 'a', nad: 'red' }]))
    assert.equal(statusOf(await cluster.api.get(vmisPath(ns, 'a'))).ipAddress, undefined)
    await patch(ns, onto('blue'))
    await cluster.api.until('it has one', vmisPath(ns, 'a'), (one) =>
      /^192\.168\.0\./.test(statusOf(one).ipAddress ?? ''),
    )
    await patch(ns, onto('red'))
    await cluster.api.until('it has none', vmisPath(ns, 'a'), (one) => statusOf(one).ipAddress === undefined)
  })

  it('under a link that is down change while it stays down; a link raised in the same patch comes up after', async () => {
    const ns = await start([{ name: 'a', nad: 'red', state: 'down' }])
    await patch(ns, onto('blue'))
    await isOn(ns, 'blue')
    assert.equal(statusOf(await cluster.api.get(vmisPath(ns, 'a'))).linkState, 'down')
    assert.deepEqual(await eventsOf(ns, 'LinkChanged'), [])
    await patch(ns, onto('red'), state('up'))
    await isOn(ns, 'red')
    await cluster.api.until('it is up', vmisPath(ns, 'a'), (one) => statusOf(one).linkState === 'up')
  })

  it('that do not exist or fail leave the card where it is and say what to do; setting networkName back, or mending it, heals', async () => {
    const ns = await start([
      { name: 'a', nad: 'red' },
      { name: 'b', nad: 'red' },
    ])
    await patch(ns, onto('later'))
    assert.match(
      await trouble(ns),
      new RegExp(
        `^interface "a" cannot be moved to network ${ns}/later and stays on ${ns}/red: .*does not exist.* set networkName back to ${ns}/red`,
      ),
    )
    await eventually('the event', async () => (await eventsOf(ns, 'NicHotplug')).length > 0)
    await patch(ns, state('down', 2))
    await cluster.api.until('others go on', vmisPath(ns, 'a'), (one) => statusOf(one, 'b').linkState === 'down')
    assert.equal(statusOf(await cluster.api.get(vmisPath(ns, 'a'))).linkState, 'up')
    await isOn(ns, 'red', 'red')
    await patch(ns, onto('red'))
    await healed(ns)
    await cluster.api.create(nadsPath(ns), nad('bad', { type: 'sim-fail' }))
    await patch(ns, onto('bad'))
    assert.match(await trouble(ns), /stays on .*: CNI plugin of network .* failed/)
    await cluster.api.patch(nadsPath(ns, 'bad'), { spec: nad('bad').spec })
    await isOn(ns, 'bad', 'red')
    await healed(ns)
  })

  it('whose cards cannot be moved are given up: the link is raised again, and nothing is told to be drift', async () => {
    const ns = await start([{ name: 'stuck', nad: 'red' }])
    await patch(ns, onto('blue'))
    assert.match(await trouble(ns), /^interface "stuck" cannot be moved .* The tap of stuck cannot be moved/)
    const vmi = await cluster.api.get(vmisPath(ns, 'a'))
    assert.equal(statusOf(vmi, 'stuck').linkState, 'up')
    await isOn(ns, 'red')
    assert.deepEqual(await eventsOf(ns, 'LinkDrift'), [])
    await patch(ns, onto('red'))
    await healed(ns)
  })

  it('that belong to the pod, or are default, need a restart and leave the instance alone', async () => {
    const ns = await makeNamespace(cluster.api, ['red', 'blue'])
    const primary = vm('a')
    const { spec } = primary.spec.template
    spec.domain.devices.interfaces = [{ name: 'default', bridge: {} }]
    spec.networks = [{ name: 'default', multus: { networkName: 'red', default: true } }]
    await run(cluster.api, ns, primary)
    await patch(ns, onto('blue', 0))
    await cluster.api.until('told', vmsPath(ns, 'a'), (one) => condition(one, 'RestartRequired'))
    assert.equal((await cluster.api.get(vmisPath(ns, 'a'))).spec.networks[0].multus.networkName, 'red')
  })

  it('are still changed where somebody else’s link state is left as it was found', async () => {
    const ns = await start()
    await cluster.api.patch(vmsPath(ns, 'a'), { metadata: { annotations: { 'patchbay.dev/link-drift': 'report' } } })
    await cluster.api.until(
      'the instance knows',
      vmisPath(ns, 'a'),
      (one) => one.metadata.annotations?.['patchbay.dev/link-drift'],
    )
    const { metadata } = await podOf(cluster.api, ns, 'a')
    cluster.sandboxes.setLink(metadata.uid, 'a', 'down')
    await cluster.api.until('told', vmisPath(ns, 'a'), (one) => condition(one, 'LinkDrift'))
    await patch(ns, onto('blue'))
    await isOn(ns, 'blue')
    const vmi = await cluster.api.get(vmisPath(ns, 'a'))
    assert.equal(statusOf(vmi).linkState, 'down')
    assert.ok(condition(vmi, 'LinkDrift'))
  })

  it('that were changed before their cards came are those the cards come up on', async () => {
    const ns = await start([], ['red'])
    await patch(
      ns,
      { op: 'add', path: `${at}/domain/devices/interfaces/-`, value: { name: 'a', bridge: {} } },
      { op: 'add', path: `${at}/networks/-`, value: { name: 'a', multus: { networkName: 'missing' } } },
    )
    await trouble(ns)
    await patch(ns, onto('red'))
    await isOn(ns, 'red')
    await healed(ns)
    await eventually('the event', async () =>
      (await eventsOf(ns, 'NicPlugged')).some((one) => one.includes(`${ns}/red`)),
    )
    assert.deepEqual(await eventsOf(ns, 'NicRewired'), [])
  })
})
