import assert from 'node:assert/strict'
import { after, before, describe, it, type TestContext } from 'node:test'
import { Fault } from '#base/fault.ts'
import { ExitError } from '#cli/context.ts'
import { migrate } from '#cli/migrate.ts'
import { showNics } from '#cli/nics.ts'
import { plug, rewire, unplug } from '#cli/plug.ts'
import { type Any, nadsPath, vmisPath, vmsPath } from './api.ts'
import { cli, contextIn, type InProcess } from './cli-kit.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { linkStates, makeNamespace, nad, run, vm } from './manifests.ts'

describe('commands that plug and unplug', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster()
  })
  after(async () => {
    await cluster?.stop()
    assert.deepEqual(cluster.errors, [])
  })

  const halted = { runStrategy: 'Halted' }
  async function inNamespace(t: TestContext): Promise<{ ns: string; context: InProcess }> {
    const ns = await makeNamespace(cluster.api, ['red', 'blue'])
    const context = await contextIn(cluster, ns)
    t.after(() => context.close())
    return { ns, context }
  }
  async function withVm(t: TestContext, nics: readonly { name: string; nad?: string; state?: string }[] = []) {
    const made = await inNamespace(t)
    await run(cluster.api, made.ns, vm('a', nics))
    return made
  }
  const until = (ns: string, wanted: string) =>
    cluster.api.until(wanted, vmsPath(ns, 'a'), (one) => one.status?.printableStatus === wanted)
  const spec = async (ns: string) => (await cluster.api.get(vmsPath(ns, 'a'))).spec.template.spec
  const names = async (ns: string) => (await spec(ns)).domain.devices.interfaces.map((one: Any) => one.name).join()
  const fails = async (work: Promise<unknown>): Promise<Fault | ExitError> => {
    const thrown: unknown = await work.then(
      () => undefined,
      (error: unknown) => error,
    )
    if (thrown instanceof Fault || thrown instanceof ExitError) return thrown
    throw thrown ?? new Error('nothing was thrown')
  }

  it('plug gives a running guest a card, tells how far it is, and unplug takes it away', async (t) => {
    const { ns, context } = await withVm(t)
    const mac = '02:00:00:00:09:01'
    const { code, out, err } = await cli(
      cluster,
      `plug a nic1 --network red --mac ${mac} --link down --model e1000 --wait -n ${ns}`,
    )
    assert.equal(code, 0, err)
    const [declared, done] = out.split('\n')
    assert.equal(declared, 'Interface nic1 of VM a is declared, on network red, link down')
    assert.match(
      done!,
      new RegExp(`^Interface nic1 of VM a is in the hypervisor, link down, MAC ${mac}; the guest calls it eth1, after`),
    )
    for (const line of err.trimEnd().split('\n').filter(Boolean)) assert.match(line, /^Interface nic1 of VM a is /)
    assert.deepEqual(linkStates(await cluster.api.get(vmisPath(ns, 'a'))), ['default up', 'nic1 down'])
    const { domain, networks } = await spec(ns)
    assert.deepEqual(domain.devices.interfaces[1], {
      name: 'nic1',
      bridge: {},
      macAddress: mac,
      model: 'e1000',
      state: 'down',
    })
    assert.deepEqual(networks[1], { name: 'nic1', multus: { networkName: 'red' } })
    await unplug(context, ['a', 'nic1'], { waitMs: 30_000 })
    assert.equal(context.lines[0], 'Interface nic1 of VM a is declared absent')
    assert.match(context.lines[1]!, /^Interface nic1 of VM a has left guest and sandbox, after /)
    // The guest may still tell of a device by that MAC, but there is no such interface.
    const left = (await cluster.api.get(vmisPath(ns, 'a'))).status.interfaces
    assert.ok(!left.some((one: Any) => one.name === 'nic1'))
    await cluster.api.until('forgotten', vmsPath(ns, 'a'), (one) => one.spec.template.spec.networks.length === 1)
  })

  it('plug, unplug and rewire of a stopped VM change its manifest, and say when that counts', async (t) => {
    const { ns, context } = await inNamespace(t)
    await cluster.api.create(vmsPath(ns), vm('a', [], halted))
    await plug(context, ['a', 'nic1'], { network: `${ns}/red` }, { waitMs: 1000 })
    await rewire(context, ['a', 'nic1'], 'blue', {})
    assert.deepEqual((await spec(ns)).networks[1], { name: 'nic1', multus: { networkName: 'blue' } })
    await rewire(context, ['a', 'nic1'], 'blue', {})
    await unplug(context, ['a', 'nic1'], {})
    assert.equal(await names(ns), 'default')
    const atStart = (what: string) => `VM a is not running; its guest will start ${what}`
    assert.deepEqual(context.lines, [
      `Interface nic1 of VM a is declared, on network ${ns}/red, link up`,
      atStart('with it'),
      'Interface nic1 of VM a is declared to be on network blue',
      atStart('on network blue'),
      'Interface nic1 of VM a is declared to be on network blue already',
      atStart('on network blue'),
      'Interface nic1 of VM a is declared absent',
      atStart('without it'),
    ])
  })

  it('a dry run tells the plan and the word of admission, and does nothing', async (t) => {
    const { ns, context } = await withVm(t, [{ name: 'red' }])
    const dryRun = { dryRun: true, waitMs: 1000 }
    const told = async (work: Promise<void>) => {
      await work
      return context.lines.splice(0)
    }
    assert.deepEqual(await told(plug(context, ['a', 'new'], { network: 'blue', link: 'down' }, dryRun)), [
      `plug interface "new" into ${ns}/blue, link down (live)`,
      'Interface new of VM a would be plugged into network blue, link down (dry run)',
    ])
    assert.deepEqual(await told(unplug(context, ['a', 'red'], dryRun)), [
      'unplug interface "red" (live)',
      'Interface red of VM a would be unplugged (dry run)',
    ])
    const [plan, would] = await told(rewire(context, ['a', 'red'], 'blue', dryRun))
    assert.match(plan!, new RegExp(`^update network of interface "red": ${ns}/red -> ${ns}/blue \\(\\w+\\)$`))
    assert.equal(would, 'Interface red of VM a would be put on network blue (dry run)')
    const bad = await fails(plug(context, ['a', 'new'], { network: 'blue', mac: 'x' }, dryRun))
    assert.match(bad.message, /interfaces\[2\].*x/)
    assert.equal(await names(ns), 'default,red')
    await cluster.api.create(vmsPath(ns), { ...vm('b', [], halted), metadata: { name: 'b' } })
    assert.deepEqual(await told(plug(context, ['b', 'new'], { network: 'blue' }, dryRun)), [
      'VM b is not running; nothing is done to a guest',
      'Interface new of VM b would be plugged into network blue, link up (dry run)',
    ])
  })

  it('what cannot be plugged, unplugged or rewired is refused with what to do', async (t) => {
    const { ns, context } = await withVm(t, [{ name: 'red' }])
    const messages = [
      plug(context, ['a', 'red'], { network: 'blue' }, {}),
      plug(context, ['a', 'new'], { network: 'green' }, {}),
      plug(context, ['a', 'new'], { network: 'nowhere/green' }, {}),
      unplug(context, ['a', 'green'], {}),
      unplug(context, ['a', 'default'], {}),
      rewire(context, ['a', 'default'], 'red', {}),
      rewire(context, ['a', 'green'], 'red', {}),
      plug(context, ['b', 'new'], { network: 'red' }, {}),
    ].map(async (work) => (await fails(work)).message)
    const [taken, missing, elsewhere, unknown, primary, fixed, alsoUnknown, noVm] = await Promise.all(messages)
    assert.equal(taken, `VM a has an interface red already, on network ${ns}/red; choose another name`)
    const there = `There is no NetworkAttachmentDefinition green in namespace ${ns} for --network; there are: blue, red`
    assert.equal(missing, there)
    assert.match(elsewhere!, /green in namespace nowhere for --network; there are: none; create one/)
    assert.equal(unknown, 'VM a has no interface green; it has: default, red')
    assert.match(primary!, /^interface default of VM a is on the default network and cannot be unplugged; cut its link/)
    assert.match(fixed!, /^interface default of VM a is on the default network and cannot be put on another/)
    assert.equal(alsoUnknown, unknown)
    assert.match(noVm!, /^There is no VM b in namespace /)
    const { code, err } = await cli(cluster, `plug a new --network green -n ${ns}`)
    assert.deepEqual([code, err], [1, `patchbay: ${there}\n`])
  })

  it('plug and unplug give up waiting with exit code 4, and say what is in the way', async (t) => {
    const { ns, context } = await withVm(t, [{ name: 'sticky', nad: 'red' }])
    await cluster.api.create(nadsPath(ns), nad('broken', { note: 'sim-fail' }))
    const { code, out, err } = await cli(cluster, `plug a new --network broken --timeout 1s -n ${ns}`)
    assert.deepEqual([code, out], [4, 'Interface new of VM a is declared, on network broken, link up\n'])
    const trouble = /Trouble: interface "new" cannot be plugged: CNI plugin of network t\d+\/broken failed/
    assert.match(err, trouble)
    assert.match(err, /\npatchbay: Interface new of VM a is .* after 1 s: .*; see `kubectl describe vmi a -n t\d+`\n$/)
    const stuck = await fails(unplug(context, ['a', 'sticky'], { waitMs: 1000 }))
    assert.equal(stuck instanceof Fault && stuck.kind, 'Timeout')
    assert.match(
      stuck.message,
      /^Interface sticky of VM a is still in the guest, which has been asked to let go of it after 1 s/,
    )
  })

  it('plug brings a parked card back with the link it had, waits for that, and tells it', async (t) => {
    const { ns, context } = await withVm(t, [{ name: 'red', state: 'down' }])
    await cluster.api.patch(vmsPath(ns, 'a'), { metadata: { annotations: { 'patchbay.dev/park-absent': 'true' } } })
    for (const [link, shown] of [
      [undefined, 'down'],
      ['up', 'up'],
    ] as const) {
      await unplug(context, ['a', 'red'], { waitMs: 30_000 })
      context.lines.splice(0)
      await plug(context, ['a', 'red'], { network: 'red', link }, { waitMs: 30_000 })
      assert.equal(context.lines[0], `Interface red of VM a is declared, on network red, link ${shown}`)
      assert.match(context.lines[1]!, new RegExp(`^Interface red of VM a is in the hypervisor, link ${shown}, `))
      assert.deepEqual(linkStates(await cluster.api.get(vmisPath(ns, 'a'))), ['default up', `red ${shown}`])
    }
  })

  it('rewire waits until the sandbox has the card on its network', async (t) => {
    const { ns, context } = await withVm(t, [{ name: 'red' }])
    await rewire(context, ['a', 'red'], 'blue', {})
    assert.equal(context.lines.shift(), 'Interface red of VM a is declared to be on network blue')
    // However the change comes about: after another start it is there in any case.
    const { uid } = (await cluster.api.get(vmisPath(ns, 'a'))).metadata
    await cli(cluster, `restart a -n ${ns}`)
    await cluster.api.until('another instance', vmisPath(ns, 'a'), (one) => one && one.metadata.uid !== uid)
    await until(ns, 'Running')
    await rewire(context, ['a', 'red'], 'blue', { waitMs: 30_000 })
    assert.equal(context.lines.shift(), 'Interface red of VM a is declared to be on network blue already')
    assert.match(context.lines.shift()!, new RegExp(`^Interface red of VM a is on network ${ns}/blue, after `))
  })

  it('what only a restart brings about is told, and not waited for', async (t) => {
    const { ns, context } = await withVm(t, [{ name: 'red' }])
    const at = '/spec/template/spec/domain/devices/interfaces'
    await cluster.api.patch(vmsPath(ns, 'a'), [{ op: 'add', path: `${at}/1/model`, value: 'e1000' }])
    const restart = `Interface red of VM a changes with a restart; do so with \`patchbay restart a -n ${ns}\``
    const failed = await fails(rewire(context, ['a', 'red'], 'red', { waitMs: 30_000 }))
    assert.deepEqual([failed instanceof Fault && failed.kind, failed.message], ['Conflict', restart])
    await rewire(context, ['a', 'red'], 'red', {})
    assert.deepEqual(context.notes, [restart])
  })

  it('plugging at the same time as others loses nobody’s card', async (t) => {
    const { ns, context } = await withVm(t)
    const cards = ['n1', 'n2', 'n3', 'n4', 'n5']
    await Promise.all(cards.map((nic) => plug(context, ['a', nic], { network: 'red' }, { waitMs: 30_000 })))
    assert.deepEqual((await names(ns)).split(',').toSorted(), ['default', ...cards])
  })

  it('nics tells how many more cards can be plugged', async (t) => {
    const { ns, context } = await withVm(t, [{ name: 'red' }])
    await showNics(context, 'a', 'table')
    assert.equal(context.lines.at(-1), 'Ports: 10 free of 12')
    const { out } = await cli(cluster, `nics a -o json -n ${ns}`)
    assert.deepEqual(JSON.parse(out).ports, { total: 12, free: 10 })
    await cluster.api.patch(vmsPath(ns, 'a'), { spec: halted })
    await until(ns, 'Stopped')
    context.lines.splice(0)
    await showNics(context, 'a', 'table')
    assert.ok(!context.lines.some((line) => line.startsWith('Ports')))
  })

  it("addinterface, removeinterface, soft-reboot, reset and guestosinfo speak virtctl's words", async (t) => {
    const { ns } = await withVm(t)
    const says = async (args: string) => {
      const { code, out, err } = await cli(cluster, `${args} -n ${ns}`)
      assert.deepEqual([code, err], [0, ''])
      return out
    }
    assert.equal(await says('addinterface a --network-attachment-definition-name red --name nic1'), '')
    await cluster.api.until('plugged', vmisPath(ns, 'a'), (one) => linkStates(one).join() === 'default up,nic1 up')
    assert.equal(await says('removeinterface a --name nic1'), '')
    await cluster.api.until('unplugged', vmisPath(ns, 'a'), (one) => !linkStates(one).includes('nic1 up'))
    assert.equal(await says('soft-reboot a'), 'VMI a was scheduled to soft-reboot\n')
    assert.equal(await says('reset a'), 'VMI a was scheduled to reset\n')
    const info = await says('guestosinfo a')
    assert.match(info, /^\{\n {2}"guestAgentVersion": "0",/)
    assert.equal(JSON.parse(info).os.id, 'sim')
    const missing = 'virtualmachineinstance.kubevirt.io "none" not found\n'
    const ends = async (args: string) => {
      const { code, out, err } = await cli(cluster, `${args} -n ${ns}`)
      assert.deepEqual([code, out], [1, ''])
      return err
    }
    assert.equal(await ends('soft-reboot none'), `Error soft rebooting VirtualMachineInstance none: ${missing}`)
    assert.equal(await ends('reset none'), `Error reseting VirtualMachineInstance none: ${missing}`)
    assert.equal(await ends('guestosinfo none'), `Error getting guestosinfo of VirtualMachineInstance none, ${missing}`)
    assert.match(await ends('removeinterface a --name x'), /VM a has no interface x; it has: default\n$/)
    assert.match(await ends('addinterface a --name x'), /required option '--network-attachment-definition-name <nad>'/)
  })

  it("migrate and migrate-cancel end in virtctl's words when there is nothing to migrate or cancel", async (t) => {
    const { ns, context } = await inNamespace(t)
    await cluster.api.create(vmsPath(ns), vm('a', [], halted))
    const { code, err } = await cli(cluster, `migrate a --addedNodeSelector zone=b,disk=ssd -n ${ns}`)
    assert.deepEqual(
      [code, err],
      [1, 'Error migrating VirtualMachine virtualmachineinstance.kubevirt.io "a" not found\n'],
    )
    const bad = await fails(migrate(context, 'a', { labels: ['zone'] }))
    assert.equal(bad.message, 'invalid format for label: zone')
    const none = await cli(cluster, `migrate-cancel a -n ${ns}`)
    assert.deepEqual(none, { code: 1, out: '', err: 'Found no migration to cancel for a\n' })
  })
})
