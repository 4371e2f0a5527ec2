import assert from 'node:assert/strict'
import { after, before, describe, it, type TestContext } from 'node:test'
import { Fault } from '#base/fault.ts'
import { version } from '#base/version.ts'
import { delay } from '#base/wait.ts'
import { ExitError } from '#cli/context.ts'
import { flap } from '#cli/flap.ts'
import { setLink } from '#cli/link.ts'
import { showNics } from '#cli/nics.ts'
import { changePause, changePower } from '#cli/power.ts'
import { vmisPath, vmsPath } from './api.ts'
import { cli, contextIn, type InProcess, startCli } from './cli-kit.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { linkStates, makeNamespace, podOf, run, statePatch, vm } from './manifests.ts'

describe('commands of patchbay', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster()
  })
  after(async () => {
    await cluster?.stop()
    assert.deepEqual(cluster.errors, [])
  })

  const halted = { runStrategy: 'Halted' }
  /** Keeps its absent interfaces, though nothing has them. */
  const parked = (manifest: ReturnType<typeof vm>) => ({
    ...manifest,
    metadata: { ...manifest.metadata, annotations: { 'patchbay.dev/park-absent': 'true' } },
  })

  async function inNamespace(t: TestContext): Promise<{ ns: string; context: InProcess }> {
    const ns = await makeNamespace(cluster.api, ['red', 'blue'])
    const context = await contextIn(cluster, ns)
    t.after(() => context.close())
    return { ns, context }
  }
  async function withVm(t: TestContext, over: object = {}, states: readonly (string | undefined)[] = []) {
    const made = await inNamespace(t)
    const nics = ['red', 'blue'].map((name, i) => ({ name, ...(states[i] !== undefined && { state: states[i] }) }))
    const manifest = { ...vm('a', nics), ...over }
    await run(cluster.api, made.ns, manifest)
    return made
  }
  const until = (ns: string, wanted: string) =>
    cluster.api.until(wanted, vmsPath(ns, 'a'), (one) => one.status?.printableStatus === wanted)
  const guestKnows = (ns: string) =>
    cluster.api.until('the guest knows its interfaces', vmisPath(ns, 'a'), ({ status }) =>
      status.interfaces.every((one: { interfaceName?: string }) => one.interfaceName),
    )
  const interfaces = async (ns: string) =>
    (await cluster.api.get(vmsPath(ns, 'a'))).spec.template.spec.domain.devices.interfaces
  const states = async (ns: string) => (await interfaces(ns)).map((one: { state?: string }) => one.state)
  const fails = async (work: Promise<unknown>): Promise<Fault | ExitError> => {
    const thrown: unknown = await work.then(
      () => undefined,
      (error: unknown) => error,
    )
    if (thrown instanceof Fault || thrown instanceof ExitError) return thrown
    throw thrown ?? new Error('nothing was thrown')
  }
  const endsIn = async (work: Promise<unknown>) => {
    const { code, message } = (await fails(work)) as ExitError
    return [code, message]
  }

  it("start, restart, pause, unpause and stop a VM in virtctl's words", async (t) => {
    const { ns } = await inNamespace(t)
    await cluster.api.create(vmsPath(ns), vm('a', [], halted))
    const says = async (args: string) => {
      const { code, out, err } = await cli(cluster, `${args} -n ${ns}`)
      assert.equal(err, '')
      assert.equal(code, 0)
      return out
    }
    assert.equal(await says('start a'), 'VM a was scheduled to start\n')
    await until(ns, 'Running')
    assert.equal(await says('pause vm a'), 'VMI a was scheduled to pause\n')
    await until(ns, 'Paused')
    assert.equal(await says('unpause vmi a'), 'VMI a was scheduled to unpause\n')
    await until(ns, 'Running')
    assert.equal(await says('stop a --dry-run'), 'Dry Run execution\nVM a was scheduled to stop\n')
    const first = (await podOf(cluster.api, ns, 'a')).metadata.uid
    assert.equal(await says('restart a --force=true --grace-period=0'), 'VM a was scheduled to restart\n')
    await cluster.api.until('another instance', vmisPath(ns, 'a'), (one) => one && one.status?.phase === 'Running')
    await until(ns, 'Running')
    await cluster.api.until('another pod', `/api/v1/namespaces/${ns}/pods`, (list) =>
      list.items.every(({ metadata }: { metadata: { uid: string } }) => metadata.uid !== first),
    )
    assert.equal(await says('stop a'), 'VM a was scheduled to stop\n')
    await until(ns, 'Stopped')
  })

  it("what is refused ends with exit code 1 and virtctl's prefix", async (t) => {
    const { context } = await withVm(t)
    const conflict = (why: string) => `Operation cannot be fulfilled on virtualmachine.kubevirt.io "a": ${why}`
    const started = await cli(cluster, `start a --namespace ${context.namespace}`)
    assert.deepEqual(started, {
      code: 1,
      out: '',
      err: `Error starting VirtualMachine ${conflict('VM is already running')}\n`,
    })
    const force = { force: true, gracePeriod: '0' }
    const missing = 'virtualmachine.kubevirt.io "none" not found'
    const both = 'Must both use --force=true and set --grace-period.'
    const power = (...args: [verb: 'start' | 'stop' | 'restart', name: string, options: object]) =>
      endsIn(changePower(context, ...args))
    assert.deepEqual(await power('stop', 'none', {}), [1, `error stopping VirtualMachine ${missing}`])
    assert.deepEqual(await power('stop', 'none', force), [1, `error force stopping VirtualMachine: ${missing}`])
    assert.deepEqual(await power('restart', 'none', {}), [1, `error restarting VirtualMachine: ${missing}`])
    assert.deepEqual(await power('stop', 'a', { force: true }), [1, both])
    assert.deepEqual(await power('restart', 'a', { gracePeriod: '0' }), [1, both])
    const pause = (verb: 'pause' | 'unpause', type: string, name: string) =>
      endsIn(changePause(context, verb, [type, name], false))
    assert.deepEqual(await pause('pause', 'vm', 'none'), [1, `Error getting VirtualMachine none: ${missing}`])
    const [, notPaused] = await pause('unpause', 'VirtualMachineInstance', 'a')
    assert.match(String(notPaused), /^Error unpausing VirtualMachineInstance a: .*"a": VMI is not paused$/)
    assert.match(
      String((await pause('pause', 'pod', 'a'))[1]),
      /^Error pausing .* a: pod cannot be paused; say `patchbay/,
    )
    await changePower(context, 'stop', 'a', {})
    await until(context.namespace, 'Stopped')
    const [, halt] = await pause('pause', 'vm', 'a')
    assert.equal(halt, 'Error pausing VirtualMachineInstance a. VirtualMachine a is not set to run')
  })

  it('the versions of client and server are told as virtctl does, and a missing server with what to do', async () => {
    const both = await cli(cluster, 'version')
    const info = 'version\\.Info\\{GitVersion:"v[^"]+", GitCommit:"", GitTreeState:"clean", .*\\}'
    assert.match(both.out, new RegExp(`^Client Version: ${info}\nServer Version: ${info}\n$`))
    assert.match(both.out, new RegExp(`GitVersion:"v${version}".*\n.*patchbay-${version}"`))
    const none = { KUBECONFIG: '/nonexistent', PATCHBAY_DIR: '/nonexistent' }
    assert.match((await cli(cluster, 'version --client', none)).out, /^Client Version: [^\n]*\n$/)
    const lost = await cli(cluster, 'nics a', none)
    assert.equal(lost.code, 2)
    assert.match(
      lost.err,
      /^patchbay: No kubeconfig is at \/nonexistent, as KUBECONFIG says; set it to DIR\/kubeconfig/,
    )
  })

  it('nics shows what the VM declares, what the hypervisor has and what the guest calls it', async (t) => {
    const { ns } = await withVm(t, {}, ['down'])
    await guestKnows(ns)
    const { code, out } = await cli(cluster, `nics a -n ${ns}`)
    assert.equal(code, 0)
    const macs = (await interfaces(ns)).map((one: { macAddress: string }) => one.macAddress)
    const { ipAddress } = (await cluster.api.get(vmisPath(ns, 'a'))).status.interfaces[0]
    assert.deepEqual(
      out.split('\n').map((line) => line.split(/ {2,}/)),
      [
        ['NAME', 'NETWORK', 'MAC', 'BINDING', 'MODEL', 'DECLARED', 'HYPERVISOR', 'GUEST'],
        ['default', 'pod', macs[0], 'masquerade', 'virtio', 'up', 'up', `eth0 ${ipAddress}`],
        ['red', 'red', macs[1], 'bridge', 'virtio', 'down', 'down', 'eth1'],
        ['blue', 'blue', macs[2], 'bridge', 'virtio', 'up', 'up', 'eth2'],
        ['Ports: 9 free of 12'],
        [''],
      ],
    )
  })

  it('nics marks what does not agree, and tells why', async (t) => {
    const annotations = { 'patchbay.dev/link-drift': 'report' }
    const { ns, context } = await withVm(t, { metadata: { name: 'a', annotations } })
    await guestKnows(ns)
    cluster.sandboxes.setLink((await podOf(cluster.api, ns, 'a')).metadata.uid, 'red', 'down')
    await cluster.api.until('drift', vmisPath(ns, 'a'), (one) => linkStates(one)[1] === 'red down')
    const at = '/spec/template/spec/domain/devices/interfaces'
    await cluster.api.patch(vmsPath(ns, 'a'), [{ op: 'add', path: `${at}/2/model`, value: 'e1000' }])
    await showNics(context, 'a', 'table')
    const [, plain, red, blue, gap, ...legend] = context.lines
    assert.doesNotMatch(plain!, /!/)
    assert.match(red!, / up {2,}down {2,}eth1 {2,}!$/)
    assert.match(blue!, / e1000 {2,}up {2,}up {2,}eth2 {2,}!$/)
    assert.equal(gap, '')
    assert.deepEqual(legend, [
      '! red: declared up, but down in the hypervisor; left so because of the annotation patchbay.dev/link-drift',
      '! blue: model e1000 is declared, virtio is in the running instance; it changes with a restart',
      'Ports: 9 free of 12',
    ])
  })

  it('nics of a stopped VM shows what is declared, and of any VM gives data', async (t) => {
    const { ns, context } = await inNamespace(t)
    await cluster.api.create(vmsPath(ns), parked(vm('a', [{ name: 'red', state: 'absent' }], halted)))
    await showNics(context, 'a', 'table')
    assert.match(context.lines[0]!, /^NAME +NETWORK +MAC +BINDING +MODEL +DECLARED$/)
    assert.match(context.lines[2]!, /^red +red +\S+ +bridge +virtio +absent$/)
    const { out } = await cli(cluster, `nics a -o json -n ${ns}`)
    const { running, interfaces: found } = JSON.parse(out)
    assert.deepEqual(
      [running, found.map((one: { name: string; declared: string }) => `${one.name} ${one.declared}`)],
      [false, ['default up', 'red absent']],
    )
    const lost = await fails(showNics(context, 'none', 'wide'))
    assert.match(lost.message, /^There is no VM none in namespace t\d+; see those there are with `kubectl get vm -A`/)
  })

  it('link pulls a cable by the name of its interface and waits for the hypervisor', async (t) => {
    const { ns } = await withVm(t)
    const link = (args: string) => cli(cluster, `link ${args} -n ${ns}`)
    const { code, out, err } = await link('down --wait a red')
    assert.deepEqual([code, err === '' || err === 'Waiting up to 60 s for the hypervisor\n'], [0, true])
    assert.match(
      out,
      /^Link of interface red of VM a is set down\nLink of interface red of VM a is down in the hypervisor/,
    )
    assert.deepEqual(linkStates(await cluster.api.get(vmisPath(ns, 'a'))), ['default up', 'red down', 'blue up'])
    assert.equal((await link('down a red')).out, 'Link of interface red of VM a is already down\n')
    const unknown = await link('down a green')
    assert.deepEqual(unknown, {
      code: 1,
      out: '',
      err: 'patchbay: VM a has no interface green; it has: default, red, blue\n',
    })
  })

  it('link never hits another interface, however often the list is reordered', async (t) => {
    const { ns, context } = await withVm(t)
    const path = vmsPath(ns, 'a')
    const at = '/spec/template/spec/domain/devices/interfaces'
    let isOver = false
    const reorder = async () => {
      while (!isOver) {
        await cluster.api.patch(path, [{ op: 'move', from: `${at}/2`, path: `${at}/1` }])
        // Else this process alternates so evenly that every change meets a reordered list.
        await delay(Math.random() * 10)
      }
    }
    const reordering = reorder()
    try {
      for (let i = 0; i < 10; i++) {
        await setLink(context, ['a', 'red'], i % 2 ? 'up' : 'down', {})
        const blue = (await interfaces(ns)).find(({ name }: { name: string }) => name === 'blue')
        assert.equal(blue.state, undefined)
      }
    } finally {
      isOver = true
      await reordering
    }
    assert.equal(context.lines.length, 10)
  })

  it('link says what a dry run would do, with the word of admission, and does nothing', async (t) => {
    const { ns, context } = await withVm(t)
    const at = '/spec/template/spec/domain/devices/interfaces'
    await cluster.api.patch(vmsPath(ns, 'a'), [{ op: 'add', path: `${at}/2/model`, value: 'e1000' }])
    await setLink(context, ['a', 'red'], 'down', { dryRun: true })
    assert.deepEqual(context.lines, [
      'update link of interface "red": up -> down (live)',
      'update model of interface "blue": virtio -> e1000 (restart)',
      'Link of interface red of VM a would be set down (dry run)',
    ])
    assert.deepEqual(await states(ns), [undefined, undefined, undefined])
    await cluster.api.create(vmsPath(ns), { ...vm('b', [], halted), metadata: { name: 'b' } })
    await setLink(context, ['b', 'default'], 'down', { dryRun: true, waitMs: 1000 })
    assert.deepEqual(context.lines.slice(3), [
      'VM b is not running; its guest would start with the link down',
      'Link of interface default of VM b would be set down (dry run)',
    ])
    const sriov = vm('c', [{ name: 'red' }], halted)
    sriov.spec.template.spec.domain.devices.interfaces[1] = { name: 'red', sriov: {} }
    await cluster.api.create(vmsPath(ns), sriov)
    const refused = await fails(setLink(context, ['c', 'red'], 'down', { dryRun: true }))
    assert.match(refused.message, /"red" interface's state "down" is not supported for SR-IOV NICs$/)
  })

  it('link gives up waiting with exit code 4 and says what hinders the hypervisor', async (t) => {
    const { ns } = await inNamespace(t)
    await run(cluster.api, ns, vm('a', [{ name: 'stuck', nad: 'red' }]))
    const { code, out, err } = await cli(cluster, `link down a stuck --wait=1s -n ${ns}`)
    assert.deepEqual([code, out], [4, 'Link of interface stuck of VM a is set down\n'])
    assert.match(
      err,
      /^Waiting up to 1 s for the hypervisor\npatchbay: Link of interface stuck of VM a is declared down, but not so in the hypervisor after 1 s: .*; see `kubectl describe vmi a -n t\d+`\n$/,
    )
  })

  it('link of an interface that is about to be plugged waits for it', async (t) => {
    const { ns, context } = await withVm(t)
    const at = '/spec/template/spec'
    await cluster.api.patch(vmsPath(ns, 'a'), [
      { op: 'add', path: `${at}/networks/-`, value: { name: 'new', multus: { networkName: 'red' } } },
      { op: 'add', path: `${at}/domain/devices/interfaces/-`, value: { name: 'new', bridge: {} } },
    ])
    await setLink(context, ['a', 'new'], 'down', { waitMs: 30_000 })
    assert.match(context.lines.at(-1) ?? '', /^Link of interface new of VM a is down in the hypervisor/)
  })

  it('link of a stopped VM, of an absent interface and of one that needs a restart says how it is', async (t) => {
    const { ns, context } = await withVm(t)
    const at = '/spec/template/spec'
    const added = { name: 'new', binding: { name: 'own' } }
    await cluster.api.patch(vmsPath(ns, 'a'), [
      { op: 'add', path: `${at}/networks/-`, value: { name: 'new', multus: { networkName: 'red' } } },
      { op: 'add', path: `${at}/domain/devices/interfaces/-`, value: added },
    ])
    const notPlugged = await fails(setLink(context, ['a', 'new'], 'down', { waitMs: 1000 }))
    assert.match(
      notPlugged.message,
      /^Interface new is not in the running instance of VM a; it comes with `patchbay restart/,
    )
    await cluster.api.create(vmsPath(ns), parked(vm('b', [{ name: 'red', state: 'absent' }], halted)))
    const absent = await fails(setLink(context, ['b', 'red'], 'up', {}))
    assert.match(absent.message, /^Interface red of VM b is declared absent and has no link; plug it first/)
    context.lines.splice(0)
    await setLink(context, ['b', 'default'], 'down', { waitMs: 1000 })
    assert.deepEqual(context.lines, [
      'Link of interface default of VM b is set down',
      'VM b is not running; its guest will start with the link down',
    ])
  })

  const times = { downMs: 30, upMs: 20, count: 3 }

  it('flap pulls and plugs a cable as often as asked and leaves the manifest as it was', async (t) => {
    const { ns, context } = await withVm(t, {}, ['linkDown'])
    const { generation } = (await cluster.api.get(vmsPath(ns, 'a'))).metadata
    await flap(context, ['a', 'blue'], times, context.interrupts)
    const [first, ...lines] = context.lines
    assert.equal(first, 'Flapping link of interface blue of VM a: 3 times down for 30 ms and up for 20 ms')
    const flips = lines.slice(0, -1)
    assert.deepEqual(
      flips.map((line) => line.split(':', 1)[0]),
      ['1/3 down', '1/3 up', '2/3 down', '2/3 up', '3/3 down', '3/3 up'],
    )
    for (const line of flips) assert.match(line, /: declared after \d+ ms, (in the hypervisor after \d+ ms|not yet in)/)
    assert.equal(lines.at(-1), 'Link of interface blue of VM a is declared up as before')
    const after = await cluster.api.get(vmsPath(ns, 'a'))
    assert.deepEqual(await states(ns), [undefined, 'linkDown', undefined])
    assert.equal(after.metadata.generation, generation + 6)
    await flap(context, ['a', 'red'], { ...times, count: 1 }, context.interrupts)
    assert.equal(context.lines.at(-1), 'Link of interface red of VM a is declared down as before')
    assert.deepEqual(await states(ns), [undefined, 'linkDown', undefined])
  })

  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)
    it(`flap that is ended by ${signal} while the link is down restores what was declared`, async (t) => {
      const { ns } = await withVm(t)
      const running = startCli(cluster, ['flap', 'a', 'red', '--down', '50s', '--up', '50s', '-n', ns])
      await cluster.api.until('the link is down', vmisPath(ns, 'a'), (one) => linkStates(one)[1] === 'red down')
      running.interrupt(signal)
      const { code: ended, out, err } = await running.ended
      assert.deepEqual([ended, err], [code, `Ended early by ${signal}\n`])
      assert.match(out, /\n1\/5 down: declared after .*\nLink of interface red of VM a is declared up as before\n$/)
      assert.deepEqual(await states(ns), [undefined, undefined, undefined])
      await cluster.api.until('the link is up', vmisPath(ns, 'a'), (one) => linkStates(one)[1] === 'red up')
    })

  it('flap whose output nobody reads any more restores what was declared', async (t) => {
    const { ns } = await withVm(t)
    const running = startCli(cluster, ['flap', 'a', 'red', '--down', '300ms', '--up', '50s', '-n', ns])
    await cluster.api.until('the link is down', vmisPath(ns, 'a'), (one) => linkStates(one)[1] === 'red down')
    running.leave()
    assert.equal((await running.ended).code, 141)
    assert.deepEqual(await states(ns), [undefined, undefined, undefined])
  })

  it('flap says so when it is told again to end while it restores', async (t) => {
    const { ns, context } = await withVm(t)
    const ended = endsIn(flap(context, ['a', 'red'], { downMs: 50_000, upMs: 50_000, count: 2 }, context.interrupts))
    await cluster.api.until('the link is down', vmisPath(ns, 'a'), (one) => linkStates(one)[1] === 'red down')
    context.interrupt()
    context.interrupt()
    assert.deepEqual(await ended, [130, 'Ended early by test'])
    assert.match(
      context.notes[0]!,
      /^Restoring link of interface red of VM a to up before ending; this takes 40 s at most$/,
    )
    assert.deepEqual(await states(ns), [undefined, undefined, undefined])
  })

  it('flap stops, and leaves it, when somebody else declares something', async (t) => {
    const { ns, context } = await withVm(t)
    const failed = fails(flap(context, ['a', 'red'], { downMs: 300, upMs: 300, count: 50 }, context.interrupts))
    await cluster.api.until('the link is down', vmisPath(ns, 'a'), (one) => linkStates(one)[1] === 'red down')
    await cluster.api.patch(vmsPath(ns, 'a'), statePatch(['up', 'linkDown']))
    const { message } = await failed
    assert.equal(
      message,
      'Another client declared interface red of VM a linkDown meanwhile; it stays so, and is no longer flapped',
    )
    assert.deepEqual(await states(ns), ['up', 'linkDown', undefined])
  })

  it('flap of a VM that does not run, and of a time that is none, is refused', async (t) => {
    const { ns, context } = await inNamespace(t)
    await cluster.api.create(vmsPath(ns), vm('a', [], halted))
    const stopped = await fails(flap(context, ['a', 'default'], times, context.interrupts))
    assert.match(stopped.message, /^VM a is not running and has no link to flap; start it with `patchbay start a -n/)
    const { code, err } = await cli(cluster, `flap a default --down 2 -n ${ns}`)
    assert.equal(code, 2)
    assert.match(err, /^patchbay: --down 2 is no duration above 0/)
  })
})
