import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { type Any, vmsPath } from './api.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { Kubectl, noKubectl } from './kubectl.ts'
import { makeNamespace, nad, running, vm } from './manifests.ts'

describe('kubectl apply --server-side', { skip: noKubectl }, () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster()
  })
  after(() => cluster?.stop())

  async function inNamespace(nads: readonly string[] = []) {
    const ns = await makeNamespace(cluster.api, nads)
    return { k: new Kubectl(cluster.dir, ns), ns, get: (): Promise<Any> => cluster.api.get(vmsPath(ns, 'a')) }
  }
  const applied = 'virtualmachine.kubevirt.io/a serverside-applied\n'
  const entries = (object: Any) =>
    object.metadata.managedFields.map(
      (entry: Any) => `${entry.manager} ${entry.operation}${entry.subresource ? `/${entry.subresource}` : ''}`,
    )

  it('three times makes a running VM and changes nothing after the first', async () => {
    const { k, ns, get } = await inNamespace(['red'])
    const input = vm('a', [{ name: 'red' }])
    assert.equal(await k.ok('apply --server-side -f -', { input }), applied)
    await running(cluster.api, ns, 'a')
    const first = await get()
    assert.match(first.spec.template.spec.domain.devices.interfaces[1].macAddress, /^02:70:62:/)
    for (let i = 0; i < 2; i++) assert.equal(await k.ok('apply --server-side -f -', { input }), applied)
    const { spec, metadata } = await get()
    assert.deepEqual([spec, metadata.generation], [first.spec, first.metadata.generation])
    assert.deepEqual(metadata.managedFields, first.metadata.managedFields)
    assert.deepEqual(entries(first), [
      'kubectl Apply',
      'virtual-machine-controller Update',
      'virtual-machine-controller Update/status',
    ])
    assert.equal(await k.ok('diff --server-side -f -', { input }), '')
    assert.equal(await k.ok('diff -f -', { input }), '')
  })

  it('shows who owns what, when asked', async () => {
    const { k } = await inNamespace()
    await k.ok('apply --server-side -f -', { input: vm('a', [], { runStrategy: 'Halted' }) })
    const text = await k.ok('get vm a -o yaml --show-managed-fields')
    assert.match(text, /^ {4}manager: kubectl$/m)
    assert.match(text, /^ {8}f:runStrategy: \{\}$/m)
    assert.match(text, /k:\{"name":"default"\}:/)
    assert.doesNotMatch(await k.ok('get vm a -o yaml'), /managedFields/)
  })

  it('names the owner of a field that differs, and takes it when forced', async () => {
    const { k, get } = await inNamespace()
    const halted = vm('a', [], { runStrategy: 'Halted' })
    await k.ok('apply --server-side -f -', { input: halted })
    const editor = await k.editor('run.sh', 's/runStrategy: Halted/runStrategy: Manual/')
    await k.ok('edit vm a', { env: { KUBE_EDITOR: editor } })
    assert.match(
      await k.fails('apply --server-side -f -', { input: halted }),
      /^error: Apply failed with 1 conflict: conflict with "kubectl-edit" using kubevirt.io\/v1: .spec.runStrategy\nPlease review the fields above/,
    )
    assert.equal((await get()).spec.runStrategy, 'Manual')
    assert.equal(await k.ok('apply --server-side --force-conflicts -f -', { input: halted }), applied)
    assert.equal((await get()).spec.runStrategy, 'Halted')
    assert.ok(!entries(await get()).includes('kubectl-edit Update'))
  })

  it('lets two managers own an interface each, and removes what its manager leaves out', async () => {
    const { k, get } = await inNamespace(['red', 'blue'])
    const names = async () =>
      (await get()).spec.template.spec.domain.devices.interfaces.map((one: Any) => one.name).join(' ')
    const halted = { runStrategy: 'Halted' }
    await k.ok('apply --server-side -f -', { input: vm('a', [{ name: 'red' }], halted) })
    const only = (name: string) => {
      const { apiVersion, kind, metadata, spec } = vm('a', [{ name }])
      const { domain, networks } = spec.template.spec
      const devices = { interfaces: domain.devices.interfaces.slice(1) }
      return {
        apiVersion,
        kind,
        metadata,
        spec: { template: { spec: { domain: { devices }, networks: networks.slice(1) } } },
      }
    }
    await k.ok('apply --server-side --field-manager net -f -', { input: only('blue') })
    assert.equal(await names(), 'default red blue')
    await k.ok('apply --server-side -f -', { input: vm('a', [], halted) })
    assert.equal(await names(), 'default blue')
    assert.deepEqual(entries(await get()).slice(0, 1), ['kubectl Apply'])
    assert.ok(entries(await get()).includes('net Apply'))
  })

  it('tries without writing', async () => {
    const { k, get } = await inNamespace()
    const input = vm('a', [], { runStrategy: 'Halted' })
    assert.equal(
      await k.ok('apply --server-side --dry-run=server -f -', { input }),
      'virtualmachine.kubevirt.io/a serverside-applied (server dry run)\n',
    )
    assert.equal(await get(), undefined)
    await k.ok('apply --server-side -f -', { input })
    const before = await get()
    const changed = vm('a', [], { runStrategy: 'Manual' })
    await k.ok('apply --server-side --dry-run=server -f -', { input: changed })
    assert.deepEqual((await get()).spec, before.spec)
    const { code, out } = await k.run(['diff', '--server-side', '-f', '-'], { input: changed })
    assert.equal(code, 1)
    assert.match(out, /^-\s+runStrategy: Halted\n\+\s+runStrategy: Manual$/m)
  })

  it('takes over what was applied by the client', async () => {
    const { k, get } = await inNamespace()
    await k.ok('apply -f -', { input: vm('a', [], { runStrategy: 'Halted' }) })
    assert.equal(await k.ok('apply --server-side -f -', { input: vm('a', [], { runStrategy: 'Manual' }) }), applied)
    assert.equal((await get()).spec.runStrategy, 'Manual')
    assert.ok(!entries(await get()).includes('kubectl-client-side-apply Update'))
  })

  it('works for kinds of Kubernetes too, and refuses unknown fields', async () => {
    const { k, ns } = await inNamespace()
    const input = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'ssa', labels: { a: '1' } } }
    assert.equal(await k.ok('apply --server-side -f -', { input }), 'namespace/ssa serverside-applied\n')
    assert.equal(
      await k.ok('apply --server-side -f -', { input: nad('red') }),
      'networkattachmentdefinition.k8s.cni.cncf.io/red serverside-applied\n',
    )
    const bad = { ...nad('red'), spec: { config: '{}', confg: 1 } }
    const what = `${ns}/red; k8s.cni.cncf.io/v1, Kind=NetworkAttachmentDefinition`
    const text = `failed to create typed patch object (${what}): .spec.confg: field not declared in schema, did you mean ".spec.config"?`
    for (const validate of ['strict', 'warn', 'ignore']) {
      const said = await k.fails(`apply --server-side --validate=${validate} -f -`, { input: bad })
      assert.ok(said.includes(text), said)
    }
  })

  it('says where a field belongs that is in the wrong place, and which one a slip of the pen means', async () => {
    const { k } = await inNamespace()
    const { spec, ...rest } = vm('a')
    // The manifest of OpenShift's documentation on hot plugging.
    const misplaced = { ...rest, template: spec.template }
    const text = /strict decoding error: unknown field "template", did you mean "spec.template"\?/
    assert.match(await k.fails('apply -f -', { input: misplaced }), text)
    assert.match(
      await k.fails('apply --server-side -f -', { input: misplaced }),
      /\.template: field not declared in schema, did you mean "\.spec\.template"\?/,
    )
    assert.match(await k.fails('create -f -', { input: misplaced }), text)
    const slip = { ...rest, spec: { ...spec, runStratgy: 'Always' } }
    assert.match(
      await k.fails('create -f -', { input: slip }),
      /unknown field "spec.runStratgy", did you mean "spec.runStrategy"\?$/m,
    )
  })

  it('asks who applies, what, and says what is wrong with it', async () => {
    const { ns } = await inNamespace()
    const send = async (query: string, body: unknown) => {
      const answer = await cluster.api.send('PATCH', `${vmsPath(ns, 'a')}?${query}`, {
        body,
        type: 'application/apply-patch+yaml',
      })
      return `${answer.code} ${answer.json.message}`
    }
    assert.equal(
      await send('', vm('a')),
      '422 PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch',
    )
    assert.match(
      await send('fieldManager=x', { ...vm('a'), metadata: { name: 'a', managedFields: [{}] } }),
      /^400 metadata.managedFields must be nil/,
    )
    assert.match(await send('fieldManager=x', { ...vm('a'), metadata: { name: 'b' } }), /^400 .*name/)
    assert.match(
      await send('fieldManager=x', vm('a', [{ name: 'default' }])),
      /^400 .*duplicate entries for key \[name="default"\]/,
    )
  })
})
