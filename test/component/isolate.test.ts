import assert from 'node:assert/strict'
import { after, before, describe, it, type TestContext } from 'node:test'
import { Fault } from '#base/fault.ts'
import { flap } from '#cli/flap.ts'
import { setIsolation } from '#cli/isolate.ts'
import { plug } from '#cli/plug.ts'
import { type Any, vmisPath, vmsPath } from './api.ts'
import { cli, contextIn, type InProcess, startCli } from './cli-kit.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { linkStates, makeNamespace, run, statePatch, vm } from './manifests.ts'

const isolated = 'patchbay.dev/isolated'
const flapping = 'patchbay.dev/flap'
const noteOf = (one: Any) => one.metadata.annotations?.[isolated]
const statesOf = (one: Any) =>
  one.spec.template.spec.domain.devices.interfaces.map(({ name, state }: Any) => `${name} ${state ?? 'unset'}`).join()

describe('isolating a VM', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster()
  })
  after(async () => {
    await cluster?.stop()
    assert.deepEqual(cluster.errors, [])
  })

  async function withVm(t: TestContext, over: object = {}): Promise<{ ns: string; context: InProcess }> {
    const ns = await makeNamespace(cluster.api, ['red', 'blue', 'new'])
    const context = await contextIn(cluster, ns)
    t.after(() => context.close())
    const manifest = { ...vm('a', [{ name: 'red', state: 'down' }, { name: 'blue' }]), ...over }
    if (Object.keys(over).length) await cluster.api.create(vmsPath(ns), manifest)
    else await run(cluster.api, ns, manifest)
    return { ns, context }
  }
  const get = (ns: string) => cluster.api.get(vmsPath(ns, 'a'))
  const wait = { waitMs: 20_000 }
  const fails = async (work: Promise<unknown>): Promise<Fault> => {
    const thrown: unknown = await work.then(
      () => undefined,
      (error: unknown) => error,
    )
    if (thrown instanceof Fault) return thrown
    throw thrown ?? new Error('nothing was thrown')
  }

  it('pulls all cables in one write, and rejoining puts back those that were up', async (t) => {
    const { ns, context } = await withVm(t)
    const { generation } = (await get(ns)).metadata
    const { code, out, err } = await cli(cluster, `isolate a --wait -n ${ns}`)
    assert.equal(code, 0, err)
    const [done, seen] = out.split('\n')
    assert.equal(done, 'VM a is isolated: links down: default, red, blue')
    assert.match(String(seen), /^Links of VM a are so in the hypervisor after /)
    const now = await get(ns)
    assert.equal(noteOf(now), '{"default":"up","red":"down","blue":"up"}')
    assert.equal(statesOf(now), 'default down,red down,blue down')
    assert.equal(now.metadata.generation, generation + 1)
    assert.deepEqual(linkStates(await cluster.api.get(vmisPath(ns, 'a'))), ['default down', 'red down', 'blue down'])
    await setIsolation(context, 'isolate', 'a', wait)
    assert.equal(context.lines.shift(), 'VM a is isolated already')
    assert.equal((await get(ns)).metadata.resourceVersion, now.metadata.resourceVersion)
    const back = await cli(cluster, `rejoin a --wait -n ${ns}`)
    assert.equal(back.code, 0, back.err)
    assert.match(back.out, /^VM a has rejoined its networks: links up: default, blue; down: red\n/)
    const rejoined = await get(ns)
    assert.equal(noteOf(rejoined), undefined)
    assert.equal(statesOf(rejoined), 'default unset,red down,blue unset')
    assert.deepEqual(linkStates(await cluster.api.get(vmisPath(ns, 'a'))), ['default up', 'red down', 'blue up'])
    context.lines.splice(0)
    await setIsolation(context, 'rejoin', 'a', {})
    assert.deepEqual(context.lines, ['VM a is not isolated'])
  })

  it('a dry run shows its steps and changes nothing', async (t) => {
    const { ns, context } = await withVm(t)
    const before = await get(ns)
    await setIsolation(context, 'isolate', 'a', { dryRun: true })
    assert.equal(context.lines.at(-1), 'VM a would be isolated: links down: default, red, blue (dry run)')
    assert.ok(context.lines.some((line) => /interface "blue"/.test(line) && /down/.test(line)))
    assert.equal((await get(ns)).metadata.resourceVersion, before.metadata.resourceVersion)
  })

  it('of a VM that does not run is for its next guest', async (t) => {
    const { ns, context } = await withVm(t, { spec: { ...vm('a').spec, runStrategy: 'Halted' } })
    await setIsolation(context, 'isolate', 'a', wait)
    assert.deepEqual(context.lines, [
      'VM a is isolated: links down: default',
      'VM a is not running; its guest will start with these links',
    ])
    await cluster.api.patch(vmsPath(ns, 'a'), { spec: { runStrategy: 'Always' } })
    await cluster.api.until(
      'it starts with its link down',
      vmisPath(ns, 'a'),
      (one) => linkStates(one)?.[0] === 'default down',
    )
  })

  it('names cards that cannot be cut, and does nothing', async (t) => {
    const fast = { name: 'fast', sriov: {} }
    const manifest = vm('a', [{ name: 'red' }], { runStrategy: 'Halted' })
    manifest.spec.template.spec.domain.devices.interfaces.push(fast)
    manifest.spec.template.spec.networks.push({ name: 'fast', multus: { networkName: 'blue' } })
    const { ns, context } = await withVm(t, manifest)
    const { kind, message } = await fails(setIsolation(context, 'isolate', 'a', {}))
    assert.equal(kind, 'Conflict')
    assert.match(message, /^VM a cannot be isolated: interface fast cannot be cut/)
    const after = await get(ns)
    assert.deepEqual([noteOf(after), after.metadata.generation], [undefined, 1])
    const missing = await fails(setIsolation(context, 'isolate', 'b', {}))
    assert.equal(missing.kind, 'NotFound')
  })

  it('holds a card that is plugged meanwhile, by any door, until it rejoins', async (t) => {
    const { ns, context } = await withVm(t)
    await setIsolation(context, 'isolate', 'a', wait)
    await plug(context, ['a', 'new'], { network: 'new', link: 'up' }, wait)
    assert.match(context.notes.join('\n'), /VM a is isolated; the cable stays pulled until `patchbay rejoin a`/)
    const { code, err } = await cli(
      cluster,
      `addinterface a --network-attachment-definition-name new --name other -n ${ns}`,
    )
    assert.equal(code, 0, err)
    const now = await get(ns)
    assert.equal(statesOf(now), 'default down,red down,blue down,new down,other down')
    assert.equal(noteOf(now), '{"default":"up","red":"down","blue":"up","new":"up","other":"up"}')
    await setIsolation(context, 'rejoin', 'a', wait)
    await cluster.api.until('all that were up are', vmisPath(ns, 'a'), (one) =>
      ['new up', 'other up', 'red down'].every((text) => linkStates(one).includes(text)),
    )
  })

  it('is not undone by a manifest without states, and decides anew when others change the VM', async (t) => {
    const { ns, context } = await withVm(t)
    await setIsolation(context, 'isolate', 'a', {})
    const manifest = await get(ns)
    for (const one of manifest.spec.template.spec.domain.devices.interfaces) delete one.state
    await cluster.api.send('PUT', vmsPath(ns, 'a'), { body: manifest })
    assert.equal(statesOf(await get(ns)), 'default down,red down,blue down')
    const busy = Promise.all(
      Array.from({ length: 10 }, (_, i) =>
        cluster.api.patch(vmsPath(ns, 'a'), { metadata: { labels: { i: `${i}` } } }),
      ),
    )
    await Promise.all([busy, setIsolation(context, 'rejoin', 'a', {})])
    assert.equal(statesOf(await get(ns)), 'default unset,red down,blue unset')
    const wrong = await cluster.api.send('PATCH', vmsPath(ns, 'a'), {
      body: { metadata: { annotations: { [isolated]: 'yes' } } },
      type: 'application/merge-patch+json',
    })
    assert.equal(wrong.code, 422)
  })

  it('and parking together: a card that is parked meanwhile comes back with the link it had before', async (t) => {
    const { ns, context } = await withVm(t)
    await cluster.api.patch(vmsPath(ns, 'a'), { metadata: { annotations: { 'patchbay.dev/park-absent': 'true' } } })
    await setIsolation(context, 'isolate', 'a', {})
    await cluster.api.patch(vmsPath(ns, 'a'), statePatch(['down', 'down', 'absent']))
    await setIsolation(context, 'rejoin', 'a', {})
    const { interfaces } = (await get(ns)).spec.template.spec.domain.devices
    await cluster.api.patch(vmsPath(ns, 'a'), [
      { op: 'remove', path: `/spec/template/spec/domain/devices/interfaces/${interfaces.length - 1}/state` },
    ])
    assert.equal(statesOf(await get(ns)), 'default unset,red down,blue unset')
  })

  it('a VM says which of its cables is flapped, by whom and until when, and forgets it at the end', async (t) => {
    const { ns, context } = await withVm(t)
    const times = { downMs: 50_000, upMs: 50_000, count: 2 }
    const ended = flap(context, ['a', 'blue'], times, context.interrupts).catch((error: Error) => error.message)
    const marked = await cluster.api.until('a mark', vmsPath(ns, 'a'), (one) => one.metadata.annotations?.[flapping])
    const { until, ...mark } = JSON.parse(marked.metadata.annotations[flapping])
    assert.deepEqual(mark, { interface: 'blue', who: 'admin', periodMs: 100_000 })
    assert.ok(Date.parse(until) >= Date.now() + 200_000 && Date.parse(until) < Date.now() + 300_000, until)
    context.interrupt()
    assert.equal(await ended, 'Ended early by test')
    assert.equal((await get(ns)).metadata.annotations?.[flapping], undefined)
    const running = startCli(cluster, ['flap', 'a', 'blue', '--down', '50s', '--up', '50s', '-n', ns])
    await cluster.api.until('a mark', vmsPath(ns, 'a'), (one) => one.metadata.annotations?.[flapping])
    running.interrupt('SIGINT')
    assert.equal((await running.ended).code, 130)
    const after = await get(ns)
    assert.equal(after.metadata.annotations?.[flapping], undefined)
    assert.equal(statesOf(after), 'default unset,red down,blue unset')
  })

  it('a mark of another flap is told of, and left to the one who made it', async (t) => {
    const { ns, context } = await withVm(t)
    const theirs = { interface: 'red', who: 'jane', until: new Date(Date.now() + 60_000).toISOString(), periodMs: 5 }
    const put = (text: string) =>
      cluster.api.patch(vmsPath(ns, 'a'), { metadata: { annotations: { [flapping]: text } } })
    await put(JSON.stringify(theirs))
    const times = { downMs: 50_000, upMs: 50_000, count: 1 }
    const ended = flap(context, ['a', 'blue'], times, context.interrupts).catch(() => undefined)
    await cluster.api.until('the link is down', vmisPath(ns, 'a'), (one) => linkStates(one)[2] === 'blue down')
    assert.match(context.notes.join('\n'), /Interface red of VM a is flapped by jane until 20/)
    await put(JSON.stringify(theirs))
    context.interrupt()
    await ended
    assert.deepEqual(JSON.parse((await get(ns)).metadata.annotations[flapping]), theirs)
  })
})
