import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { type Any, vmsPath } from './api.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { Kubectl, noKubectl } from './kubectl.ts'
import { makeNamespace, running, vm } from './manifests.ts'

describe('kubectl apply on the client’s side', { skip: noKubectl }, () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster()
  })
  after(() => cluster?.stop())

  async function inNamespace(nads: readonly string[] = []) {
    const ns = await makeNamespace(cluster.api, nads)
    return { k: new Kubectl(cluster.dir, ns), ns, get: (): Promise<Any> => cluster.api.get(vmsPath(ns, 'a')) }
  }
  const halted = { runStrategy: 'Halted' }
  const said = (word: string) => `virtualmachine.kubevirt.io/a ${word}\n`
  const interfacesOf = (object: Any): Any[] => object.spec.template.spec.domain.devices.interfaces
  const names = (object: Any) =>
    interfacesOf(object)
      .map(({ name }) => name)
      .join(' ')
  /** Whether the cluster already is as a manifest says. */
  async function assertSettled(k: Kubectl, input: Any): Promise<void> {
    assert.equal(await k.ok('diff -f -', { input }), '')
    assert.equal(await k.ok('apply -f -', { input }), said('unchanged'))
  }

  it('of the same manifest again changes nothing and says so, whatever admission filled in', async () => {
    const { k, ns, get } = await inNamespace(['red'])
    const input = vm('a', [{ name: 'red' }])
    assert.equal(await k.ok('apply -f -', { input }), said('created'))
    await running(cluster.api, ns, 'a')
    const { spec, metadata } = await get()
    assert.match(interfacesOf({ spec })[1].macAddress, /^02:70:62:/)
    for (let i = 0; i < 3; i++) assert.deepEqual(await k.run(['apply', '-f', '-'], { input }), unchanged)
    const last = await get()
    assert.deepEqual([last.spec, last.metadata], [spec, metadata])
    assert.equal(await k.ok('diff -f -', { input }), '')
  })
  const unchanged = { code: 0, out: said('unchanged'), err: '' }

  it('adds, moves and removes interfaces as the manifest does, and leaves the MACs of the others alone', async () => {
    const { k, get } = await inNamespace(['red', 'blue'])
    await k.ok('apply -f -', { input: vm('a', [{ name: 'red' }], halted) })
    const [pod, red] = interfacesOf(await get())
    const both = vm('a', [{ name: 'blue' }, { name: 'red' }], halted)
    assert.equal(await k.ok('apply -f -', { input: both }), said('configured'))
    assert.equal(names(await get()), 'default blue red')
    assert.deepEqual([interfacesOf(await get())[0], interfacesOf(await get())[2]], [pod, red])
    await assertSettled(k, both)
    const moved = vm('a', [{ name: 'red' }, { name: 'blue' }], halted)
    assert.equal(await k.ok('apply -f -', { input: moved }), said('configured'))
    assert.equal(names(await get()), 'default red blue')
    await assertSettled(k, moved)
    const fewer = vm('a', [{ name: 'blue' }], halted)
    assert.equal(await k.ok('apply -f -', { input: fewer }), said('configured'))
    assert.equal(names(await get()), 'default blue')
    assert.deepEqual(
      (await get()).spec.template.spec.networks.map(({ name }: Any) => name),
      ['default', 'blue'],
    )
    await assertSettled(k, fewer)
  })

  it('changes fields of an interface and of the template, and takes away those it no longer names', async () => {
    const { k, get } = await inNamespace(['red'])
    const input = vm('a', [{ name: 'red', state: 'down' }], halted)
    input.spec.template.metadata = { labels: { tier: 'web', stage: 'test' } }
    await k.ok('apply -f -', { input })
    const { macAddress } = interfacesOf(await get())[1]
    const next = vm('a', [{ name: 'red' }], halted)
    next.spec.template.metadata = { labels: { tier: 'db' } }
    const { code, out, err } = await k.run(['diff', '-f', '-'], { input: next })
    assert.deepEqual([code, err], [1, ''])
    for (const line of [/^-\s+state: down$/m, /^-\s+stage: test$/m, /^-\s+tier: web$/m, /^\+\s+tier: db$/m])
      assert.match(out, line)
    assert.deepEqual(await k.run(['apply', '-f', '-'], { input: next }), { code: 0, out: said('configured'), err: '' })
    assert.deepEqual(interfacesOf(await get())[1], { name: 'red', bridge: {}, macAddress })
    assert.deepEqual((await get()).spec.template.metadata, { labels: { tier: 'db' } })
    await assertSettled(k, next)
  })

  it('works for what was made by create, and shows what was applied last', async () => {
    const { k } = await inNamespace()
    const input = vm('a', [], halted)
    await k.ok('create -f -', { input })
    const { code, out, err } = await k.run(['apply', '-f', '-'], { input })
    assert.deepEqual([code, out], [0, said('configured')])
    assert.match(
      err,
      /^Warning: resource virtualmachines\/a is missing the kubectl.kubernetes.io\/last-applied-configuration annotation/,
    )
    await assertSettled(k, input)
    assert.match(await k.ok('apply view-last-applied vm a'), /^ {2}runStrategy: Halted$/m)
  })

  it('of a whole folder prunes what is no longer in it', async () => {
    const { k } = await inNamespace(['red'])
    const item = (name: string) => ({ ...vm(name, [], halted), metadata: { name, labels: { app: 'x' } } })
    const list = (...names: string[]) => ({ apiVersion: 'v1', kind: 'List', items: names.map(item) })
    await k.ok('apply -f -', { input: list('a', 'b') })
    const args = 'apply --prune -l app=x --prune-allowlist=kubevirt.io/v1/VirtualMachine -f -'
    assert.equal(await k.ok(args, { input: list('a') }), `${said('unchanged')}virtualmachine.kubevirt.io/b pruned\n`)
    assert.equal(await k.ok('get vm -o name'), 'virtualmachine.kubevirt.io/a\n')
    assert.deepEqual(cluster.errors, [])
  })
})
