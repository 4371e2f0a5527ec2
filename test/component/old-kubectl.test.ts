import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { eventually } from '#base/wait.ts'
import { nadsPath, vmisPath, vmsPath } from './api.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { Kubectl, oldKubectl } from './kubectl.ts'
import { linkStates, makeNamespace, nad, run, vm } from './manifests.ts'

if (oldKubectl.lacks) console.log(`The tests with an old kubectl are skipped: ${oldKubectl.lacks}`)

describe('kubectl 1.20, the oldest there is', { skip: oldKubectl.lacks }, () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster()
  })
  after(() => cluster?.stop())

  const halted = { runStrategy: 'Halted' }
  const said = (word: string) => `virtualmachine.kubevirt.io/a ${word}\n`
  const withPatch = (value: unknown) => ({ more: ['-p', JSON.stringify(value)] })
  async function inNamespace(nads: readonly string[] = []): Promise<{ k: Kubectl; ns: string }> {
    const ns = await makeNamespace(cluster.api, nads)
    return { k: new Kubectl(cluster.dir, ns, oldKubectl.program), ns }
  }

  it('creates, gets, lists and follows', async () => {
    const { k, ns } = await inNamespace(['red'])
    assert.equal(await k.ok('create -f -', { input: vm('a', [{ name: 'red' }]) }), said('created'))
    assert.equal(
      await k.fails('create -f -', { input: vm('a') }),
      'Error from server (AlreadyExists): error when creating "STDIN": virtualmachines.kubevirt.io "a" already exists\n',
    )
    const watch = k.start('get vm -w')
    try {
      await eventually('Running', () => watch.lines.some((line) => /^a +\S+ +Running +True$/.test(line)))
      assert.match(watch.lines[0]!, /^NAME +AGE +STATUS +READY$/)
    } finally {
      await watch.stop()
    }
    assert.match(await k.ok('get vm,vmi -A'), new RegExp(`^${ns} +virtualmachineinstance.kubevirt.io/a +`, 'm'))
    assert.equal(await k.ok('get vm a -o jsonpath={.status.printableStatus}'), 'Running')
    assert.equal(await k.ok('get vm -l none=1 -o name'), '')
    assert.match(
      await k.fails('get vm b'),
      /^Error from server \(NotFound\): virtualmachines.kubevirt.io "b" not found$/m,
    )
    assert.match(await k.ok('describe vm a'), /^ {2}Normal +SuccessfulCreate /m)
    assert.match(await k.ok('get events'), /Normal +SuccessfulCreate +virtualmachine\/a +Started the virtual machine/)
  })

  it('applies, on either side, and shows the difference', async () => {
    const { k, ns } = await inNamespace(['red'])
    const input = vm('a', [{ name: 'red' }], halted)
    assert.equal(await k.ok('apply -f -', { input }), said('created'))
    const { spec } = await cluster.api.get(vmsPath(ns, 'a'))
    // It sends interfaces as a whole, which changes nothing but is a patch: it cannot know.
    for (let i = 0; i < 2; i++) assert.equal(await k.ok('apply -f -', { input }), said('configured'))
    assert.deepEqual((await cluster.api.get(vmsPath(ns, 'a'))).spec, spec)
    assert.equal(await k.ok('diff -f -', { input }), '')
    const changed = vm('a', [], { runStrategy: 'Manual' })
    const { code, out } = await k.run(['diff', '-f', '-'], { input: changed })
    assert.equal(code, 1)
    assert.match(out, /^-\s+runStrategy: Halted\n\+\s+runStrategy: Manual$/m)
    assert.equal(await k.ok('apply -f -', { input: changed }), said('configured'))
    assert.equal((await cluster.api.get(vmsPath(ns, 'a'))).spec.template.spec.domain.devices.interfaces.length, 1)
    assert.equal(await k.ok('apply -f - --dry-run=server', { input: changed }), said('configured (server dry run)'))
    const plain = { ...nad('blue'), metadata: { name: 'blue', labels: { a: 'b' } } }
    await k.ok('apply -f -', { input: plain })
    assert.match(await k.ok('apply -f -', { input: plain }), /blue unchanged$/m)
    for (let i = 0; i < 2; i++)
      assert.match(await k.ok('apply --server-side -f -', { input: nad('green') }), /green serverside-applied$/m)
  })

  it('patches a running VM, labels and annotates', async () => {
    const { k, ns } = await inNamespace(['red'])
    await run(cluster.api, ns, vm('a', [{ name: 'red' }]))
    const links = (want: string) =>
      cluster.api.until(want, vmisPath(ns, 'a'), (one) => linkStates(one)?.join() === want)
    const path = '/spec/template/spec/domain/devices/interfaces/1/state'
    const one = {
      spec: { template: { spec: { domain: { devices: { interfaces: [{ name: 'red', state: 'up' }] } } } } },
    }
    assert.equal(await k.ok('patch vm a --type=json', withPatch([{ op: 'add', path, value: 'down' }])), said('patched'))
    await links('default up,red down')
    assert.equal(await k.ok('patch vm a', withPatch(one)), said('patched'))
    await links('default up,red up')
    const labels = withPatch({ metadata: { labels: { a: 'b' } } })
    assert.equal(await k.ok('patch vm a --type=merge', labels), said('patched'))
    assert.equal(await k.ok('patch vm a --type=merge', labels), said('patched (no change)'))
    assert.equal(await k.ok('label vm a x=y'), said('labeled'))
    assert.equal(await k.fails('label vm a x=z'), "error: 'x' already has a value (y), and --overwrite is false\n")
    assert.equal(await k.ok('label vm a x-'), said('labeled'))
    assert.equal(await k.ok('annotate vm a note=1'), said('annotated'))
    const EDITOR = await k.editor('old-edit', 's/a: b/a: c/')
    assert.equal(await k.ok('edit vm a', { env: { EDITOR } }), said('edited'))
    assert.equal(await k.ok('get vm a -o jsonpath={.metadata.labels}'), '{"a":"c"}')
    const wrong = await k.editor('old-wrong', 's/runStrategy: Always/runStrategy: Never/')
    assert.match(
      await k.fails('edit vm a', { env: { EDITOR: wrong } }),
      /^error: virtualmachines.kubevirt.io "a" is invalid$/m,
    )
  })

  it('waits and deletes with each cascade', async () => {
    const { k, ns } = await inNamespace()
    await run(cluster.api, ns, vm('a'))
    assert.equal(await k.ok('wait vm a --for=condition=Ready --timeout=30s'), said('condition met'))
    assert.equal(
      await k.fails('wait vm a --for=condition=Nope --timeout=1s'),
      'error: timed out waiting for the condition on virtualmachines/a\n',
    )
    assert.equal(await k.ok('delete vm a --cascade=orphan'), 'virtualmachine.kubevirt.io "a" deleted\n')
    assert.equal((await cluster.api.get(vmisPath(ns, 'a'))).status.phase, 'Running')
    for (const [name, cascade] of [
      ['b', 'foreground'],
      ['c', 'background'],
    ] as const) {
      await run(cluster.api, ns, vm(name))
      assert.equal(
        await k.ok(`delete vm ${name} --cascade=${cascade}`),
        `virtualmachine.kubevirt.io "${name}" deleted\n`,
      )
      assert.equal(await cluster.api.get(vmisPath(ns, name)), undefined)
    }
    await cluster.api.create(nadsPath(ns), nad('red'))
    assert.match(await k.ok('delete net-attach-def --all'), /"red" deleted$/m)
  })

  it('explains, validates by itself, and finds out what there is and what one may', async () => {
    const { k } = await inNamespace()
    const text = await k.ok('explain vm.spec.template.spec.domain.devices.interfaces')
    assert.match(text, /^RESOURCE: interfaces <\[\]Object>$/m)
    assert.match(text, /^ {3}state\t<string>\n {5}State of the link: up \(default\)/m)
    assert.match(await k.ok('explain vm --recursive'), /^ +macAddress\t<string>$/m)
    assert.equal(await k.fails('explain vm.nope'), 'error: field "nope" does not exist\n')
    assert.match(
      await k.fails('create -f -', { input: vm('a', [], { ...halted, bogus: 1 }) }),
      /^error: error validating "STDIN": error validating data: ValidationError\(VirtualMachine.spec\): unknown field "bogus" in io.kubevirt.v1.VirtualMachine.spec; if you choose/,
    )
    assert.match(
      await k.ok('api-resources --no-headers'),
      /^virtualmachines +vm,vms +kubevirt.io\/v1 +true +VirtualMachine$/m,
    )
    assert.equal(await k.ok('auth can-i delete vm'), 'yes\n')
    assert.match(await k.ok('version'), /^Server Version: .*GitVersion:"v1\.32\.0/m)
    assert.deepEqual(cluster.errors, [])
  })
})
