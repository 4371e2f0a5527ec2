import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { eventually } from '#base/wait.ts'
import { rewire } from '#cli/plug.ts'
import { type Any, nadsPath, podsPath, vmisPath, vmsPath } from './api.ts'
import { cli, contextIn } from './cli-kit.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { condition, makeNamespace, nad, podOf, run, vm } from './manifests.ts'

const none = 'patchbay-none'

describe('cards on no network', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster()
  })
  after(async () => {
    await cluster?.stop()
    assert.deepEqual(cluster.errors, [])
  })

  const at = '/spec/template/spec'
  const onto = (network: string) => ({ op: 'replace', path: `${at}/networks/1/multus/networkName`, value: network })
  const state = (value: string) => ({ op: 'add', path: `${at}/domain/devices/interfaces/1/state`, value })
  const patch = (ns: string, ...operations: readonly object[]) => cluster.api.patch(vmsPath(ns, 'a'), operations)
  const statusOf = (vmi: Any) => vmi?.status?.interfaces?.find((one: Any) => one.name === 'a')
  const statesOf = (object: Any) => object.spec.domain.devices.interfaces[1].state
  const eventsOf = async (ns: string, reason: string): Promise<string[]> =>
    (await cluster.api.list(`/api/v1/namespaces/${ns}/events`))
      .filter((event) => event.reason === reason)
      .map((event) => event.message)
  /** The annotation of its pod names exactly these networks beside the pod's own, and the card has this link. */
  const isOn = async (ns: string, link: 'up' | 'down', ...networks: string[]) => {
    const { metadata } = await podOf(cluster.api, ns, 'a')
    const wanted = ['patchbay-pod', ...networks.map((one) => `${ns}/${one}`)].join()
    await cluster.api.until(`on ${wanted}`, podsPath(ns, metadata.name), (pod) => {
      const list = JSON.parse(pod.metadata.annotations['k8s.v1.cni.cncf.io/network-status'])
      return list.map((one: Any) => one.name).join() === wanted
    })
    return cluster.api.until(`its link is ${link}`, vmisPath(ns, 'a'), (one) => statusOf(one)?.linkState === link)
  }
  const isQuiet = async (ns: string) => {
    for (const reason of ['LinkDrift', 'NicHotplug', 'SyncFailed']) assert.deepEqual(await eventsOf(ns, reason), [])
    for (const type of ['Synchronized', 'LinkDrift'])
      assert.equal(condition(await cluster.api.get(vmisPath(ns, 'a')), type), undefined)
    const settled = await cluster.api.until(
      'the VM has been seen',
      vmsPath(ns, 'a'),
      (one) => one.status.observedGeneration === one.metadata.generation,
    )
    assert.equal(condition(settled, 'RestartRequired'), undefined)
  }

  it('go there and back while the guest runs: the link is down meanwhile, whatever is declared, and the state stays', async () => {
    const ns = await makeNamespace(cluster.api, ['red'])
    const first = await run(cluster.api, ns, vm('a', [{ name: 'a', nad: 'red', state: 'up' }]))
    await patch(ns, onto(none))
    const off = await isOn(ns, 'down')
    assert.deepEqual(
      [statusOf(off).mac, statusOf(off).podInterfaceName, statesOf(off), off.metadata.uid],
      [statusOf(first).mac, undefined, 'up', first.metadata.uid],
    )
    // Another state is a matter for later.
    await patch(ns, state('down'))
    await cluster.api.until('the instance has it', vmisPath(ns, 'a'), (one) => statesOf(one) === 'down')
    await patch(ns, state('up'))
    await cluster.api.until('the instance has it', vmisPath(ns, 'a'), (one) => statesOf(one) === 'up')
    await isOn(ns, 'down')
    await isQuiet(ns)
    await patch(ns, onto('red'))
    const back = await isOn(ns, 'up', 'red')
    assert.equal(statusOf(back).podInterfaceName, statusOf(first).podInterfaceName)
    await isQuiet(ns)
    const who = (await cluster.api.get(vmsPath(ns, 'a'))).metadata.annotations['patchbay.dev/network-changed-by']
    await eventually('the events', async () => (await eventsOf(ns, 'NicRewired')).length === 2)
    assert.deepEqual((await eventsOf(ns, 'NicRewired')).toSorted(), [
      `Interface "a" was put on network ${ns}/red, asked for by ${who}`,
      `Interface "a" was taken off network ${ns}/red, asked for by ${who}`,
    ])
    assert.deepEqual((await eventsOf(ns, 'LinkChanged')).toSorted(), [
      `Link of interface "a" changed from down to up, asked for by ${who}`,
      `Link of interface "a" changed from up to down, asked for by ${who}`,
    ])
  })

  it('are started with, plugged, migrated and unplugged as others, and ask for no definition', async () => {
    const ns = await makeNamespace(cluster.api)
    await run(cluster.api, ns, vm('a', [{ name: 'a', nad: none }]))
    const started = await isOn(ns, 'down')
    assert.equal(statusOf(started).infoSource.includes('multus-status'), false)
    const { metadata } = await podOf(cluster.api, ns, 'a')
    assert.equal(metadata.annotations['k8s.v1.cni.cncf.io/networks'], undefined)
    await patch(
      ns,
      { op: 'add', path: `${at}/domain/devices/interfaces/-`, value: { name: 'b', bridge: {} } },
      { op: 'add', path: `${at}/networks/-`, value: { name: 'b', multus: { networkName: none } } },
    )
    const second = (vmi: Any) => vmi.status.interfaces.find((one: Any) => one.name === 'b')
    await cluster.api.until('b is plugged', vmisPath(ns, 'a'), (one) => second(one)?.linkState === 'down')
    const migrations = `/apis/kubevirt.io/v1/namespaces/${ns}/virtualmachineinstancemigrations`
    await cluster.api.create(migrations, { metadata: { name: 'm' }, spec: { vmiName: 'a' } })
    await cluster.api.until('it has moved', `${migrations}/m`, (one) => one.status?.phase === 'Succeeded')
    const moved = await cluster.api.until('both are there', vmisPath(ns, 'a'), (one) =>
      [statusOf(one), second(one)].every((status) => status?.linkState === 'down'),
    )
    assert.equal(statusOf(moved).mac, statusOf(started).mac)
    await patch(ns, { op: 'add', path: `${at}/domain/devices/interfaces/2/state`, value: 'absent' })
    await cluster.api.until('b has gone', vmisPath(ns, 'a'), (one) => !second(one))
    await isQuiet(ns)
  })

  it('are pulled and put back by commands, which say so', async (t) => {
    const ns = await makeNamespace(cluster.api, ['red'])
    await run(cluster.api, ns, vm('a', [{ name: 'a', nad: 'red' }]))
    await cluster.api.until('its guest reports it', vmisPath(ns, 'a'), (one) => statusOf(one)?.interfaceName)
    const off = await cli(cluster, `rewire a a --to ${none} --wait -n ${ns}`)
    assert.equal(off.code, 0, off.err)
    assert.match(
      off.out,
      /^Interface a of VM a is declared to be on no network\nInterface a of VM a is on no network, link down, after /,
    )
    const nics = await cli(cluster, `nics a -n ${ns}`)
    assert.match(nics.out, /^a +\(none\) .* up +down +eth1/m)
    const raised = await cli(cluster, `link up a a --wait -n ${ns}`)
    assert.deepEqual(
      [raised.code, raised.err],
      [0, 'Interface a of VM a is on no network; until it is on one, its link stays down\n'],
    )
    const flapped = await cli(cluster, `flap a a -n ${ns}`)
    assert.notEqual(flapped.code, 0)
    assert.match(flapped.err, /is on no network and its link stays down; put it on one with `patchbay rewire a a /)
    const context = await contextIn(cluster, ns)
    t.after(() => context.close())
    await rewire(context, ['a', 'a'], 'red', { waitMs: 30_000 })
    await isOn(ns, 'up', 'red')
  })

  it('are none of a definition: one of that name is refused in every namespace', async () => {
    const ns = await makeNamespace(cluster.api)
    const { code, json } = await cluster.api.send('POST', nadsPath(ns), { body: nad(none) })
    assert.equal(code, 422)
    assert.match(json.message, /the name "patchbay-none" is reserved/)
  })
})
