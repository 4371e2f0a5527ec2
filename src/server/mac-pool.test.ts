import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { Namespace } from '#apis/core/namespace.ts'
import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Kind } from '#apis/meta/object.ts'
import type { Json, JsonObject } from '#base/json.ts'
import { clusterConfig } from '#core/admission/config.ts'
import { noTypes } from '#core/instancetype/matcher.ts'
import { openMemoryStore } from '#kit/machinery/store/memory.ts'
import { Authorizer } from '#machinery/rest/access/authorizer.ts'
import { type Doc, docOf } from '#machinery/rest/doc.ts'
import { Registry } from '#machinery/rest/registry.ts'
import type { Store } from '#machinery/store/store.ts'
import { MacPool } from './mac-pool.ts'
import { servedKinds } from './served.ts'

const admin = { user: { name: 'admin', groups: ['system:masters'] } }
const tiny = { start: '02:00:00:00:00:fe', end: '02:00:00:00:01:01' }
const [vms, vmis] = [VirtualMachine, VirtualMachineInstance] as unknown as Kind[] as [Kind, Kind]

/** A registry as the server has it, without controllers. */
async function openServer(t: TestContext, given?: Store) {
  const store = given ?? openMemoryStore()
  if (!given) t.after(() => store.close())
  const known = new Map<string, Doc>()
  const macs = new MacPool(
    () => tiny,
    (namespace, name) => known.get(`${namespace}/${name}`) as unknown as VirtualMachine,
  )
  const access = new Authorizer({ role: () => undefined, bindings: () => [] })
  const config = () => ({ ...clusterConfig(), permitBridgeOnPodNetwork: true, macRange: tiny })
  const placement = {
    nodeOfPod: () => undefined,
    nodesOfInstance: () => [],
    nodeOfClaim: () => undefined,
    nodesNaming: () => [],
  }
  const served = servedKinds({
    ...{ macs, access, config, placement, anyNamespaceNetworks: false },
    disks: { claim: () => undefined, dataVolume: () => undefined, dataSource: () => undefined },
    ...{ types: () => noTypes, instance: () => undefined, migrations: () => [] },
  })
  const registry = new Registry(store, served)
  macs.use(registry.claims)
  for (const row of (await store.list('/kubevirt.io/virtualmachines/')).rows) {
    const vm = docOf(row)
    known.set(`${vm.metadata.namespace}/${vm.metadata.name}`, vm)
  }
  await registry.repairClaims()
  if (!given)
    for (const name of ['ns', 'other'])
      await registry.create(Namespace as unknown as Kind, undefined, { metadata: { name } }, admin)
  const create = async (kind: Kind, namespace: string, object: JsonObject, options = {}) => {
    const doc = await registry.create(kind, namespace, object, { ...admin, ...options })
    if (kind === vms) known.set(`${namespace}/${doc.metadata.name}`, doc)
    return doc
  }
  return { store, registry, create }
}

const specOf = (macs: readonly (string | undefined)[]): JsonObject => ({
  domain: {
    devices: {
      interfaces: macs.map((mac, i) => ({ name: `n${i}`, bridge: {}, ...(mac !== undefined && { macAddress: mac }) })),
    },
  },
  networks: macs.map((_, i) => (i ? { name: `n${i}`, multus: { networkName: `net${i}` } } : { name: 'n0', pod: {} })),
})
const vm = (name: string, ...macs: (string | undefined)[]): JsonObject => ({
  metadata: { name },
  spec: { runStrategy: 'Halted', template: { spec: specOf(macs) } },
})
const vmi = (name: string, metadata: JsonObject, ...macs: (string | undefined)[]): JsonObject => ({
  metadata: { name, ...metadata },
  spec: specOf(macs),
})

/** The addresses of a VM or an instance. */
function macsOf(doc: Doc): string[] {
  const { template } = doc.spec as { template?: { spec: JsonObject } }
  const { domain } = (template?.spec ?? doc.spec) as { domain: { devices: { interfaces: { macAddress: string }[] } } }
  return domain.devices.interfaces.map(({ macAddress }) => macAddress)
}

const claimed = async (store: Store) => (await store.list('/claims/')).rows.map(({ key }) => key.split('/')[2])
const failures = (outcomes: readonly PromiseSettledResult<unknown>[]) =>
  outcomes.flatMap((one) => (one.status === 'rejected' ? [String((one.reason as Error).message)] : []))

test('every address of a range is given once, then the remedy is told', async (t) => {
  const { create } = await openServer(t)
  const made = await Promise.all(['a', 'b', 'c', 'd'].map((name) => create(vms, 'ns', vm(name, undefined))))
  assert.deepEqual(made.flatMap(macsOf).toSorted(), [
    '02:00:00:00:00:fe',
    '02:00:00:00:00:ff',
    '02:00:00:00:01:00',
    '02:00:00:00:01:01',
  ])
  await assert.rejects(create(vms, 'ns', vm('e', undefined)), {
    kind: 'Invalid',
    message: /No MAC address is left .* extend .*macPool/,
  })
})

test('of many who want one address at once one gets it, instances without a VM among them', async (t) => {
  const { create, store } = await openServer(t)
  const mac = '02-00-00-00-00-0A'
  const outcomes = await Promise.allSettled([
    ...['a', 'b', 'c', 'd'].map((name) => create(vms, 'ns', vm(name, mac))),
    ...['e', 'f', 'g'].map((name) => create(vmis, 'ns', vmi(name, {}, mac))),
  ])
  assert.equal(failures(outcomes).length, 6)
  for (const message of failures(outcomes))
    assert.match(message, /interface "n0" cannot have the MAC address 02-00-00-00-00-0A: VMI? ns\/. has it; choose/)
  assert.deepEqual(await claimed(store), ['02:00:00:00:00:0a'])
})

test('who has an address in another namespace is not told', async (t) => {
  const { create } = await openServer(t)
  await create(vms, 'ns', vm('secret', '02:00:00:00:00:0a'))
  const outcomes = await Promise.allSettled([create(vms, 'other', vm('b', '02:00:00:00:00:0a'))])
  assert.match(failures(outcomes)[0] ?? '', /: another VM has it;/)
  assert.doesNotMatch(failures(outcomes)[0] ?? '', /secret/)
})

test('dry runs, refused writes and writes that come too late leave no address taken', async (t) => {
  const { create, store } = await openServer(t)
  assert.equal(macsOf(await create(vms, 'ns', vm('a', undefined, undefined), { dryRun: true })).length, 2)
  await assert.rejects(create(vms, 'ns', vm('A', undefined)), { kind: 'Invalid' })
  assert.deepEqual(await claimed(store), [])
  await create(vms, 'ns', vm('a', '02:00:00:00:00:0a'))
  await assert.rejects(create(vms, 'ns', vm('a', '02:00:00:00:00:0b')), { kind: 'AlreadyExists' })
  assert.deepEqual(await claimed(store), ['02:00:00:00:00:0a'])
})

test('an address is free again when its VM has another one, or is gone', async (t) => {
  const { create, registry, store } = await openServer(t)
  const key = { namespace: 'ns', name: 'a' }
  await create(vms, 'ns', vm('a', '02:00:00:00:00:0a'))
  const change = (mac: string) =>
    registry.update(vms, key, (now) => ({ ...now, spec: vm('a', mac).spec }) as unknown as JsonObject, admin)
  await change('02:00:00:00:00:0b')
  assert.deepEqual(await claimed(store), ['02:00:00:00:00:0b'])
  await create(vms, 'ns', vm('b', '02:00:00:00:00:0a'))
  await assert.rejects(change('02:00:00:00:00:0a'), { message: /VM ns\/b has it/ })
  assert.deepEqual(await claimed(store), ['02:00:00:00:00:0a', '02:00:00:00:00:0b'])
  await registry.delete(vms, key, admin)
  assert.deepEqual(await claimed(store), ['02:00:00:00:00:0a'])
})

test('an instance has the addresses of its VM, and keeps them from others while it runs on with them', async (t) => {
  const { create, registry, store } = await openServer(t)
  const { uid } = (await create(vms, 'ns', vm('a', '02:00:00:00:00:0a'))).metadata
  const owned: JsonObject = {
    ownerReferences: [{ apiVersion: 'kubevirt.io/v1', kind: 'VirtualMachine', name: 'a', uid: uid! }],
  }
  await create(vmis, 'ns', vmi('a', owned, '02:00:00:00:00:0a'))
  await registry.update(
    vms,
    { namespace: 'ns', name: 'a' },
    (now) => ({ ...now, spec: vm('a', '02:00:00:00:00:0b').spec }) as unknown as JsonObject,
    admin,
  )
  await assert.rejects(create(vms, 'ns', vm('b', '02:00:00:00:00:0a')), { message: /VM ns\/a has it/ })
  assert.deepEqual(await claimed(store), ['02:00:00:00:00:0a', '02:00:00:00:00:0b'])
})

test('nobody gets the address of another VM by an instance that says it belongs to their own', async (t) => {
  const { create } = await openServer(t)
  await create(vms, 'other', vm('b', '02:00:00:00:00:0b'))
  const { uid } = (await create(vms, 'ns', vm('a', '02:00:00:00:00:0a'))).metadata
  const ownerReferences: Json = [{ apiVersion: 'kubevirt.io/v1', kind: 'VirtualMachine', name: 'a', uid: uid! }]
  await assert.rejects(create(vmis, 'ns', vmi('a', { ownerReferences }, '02:00:00:00:00:0b')), {
    message: /another VM has it/,
  })
})

test('after a restart every address has the owner it had, and what a crash left behind is free', async (t) => {
  const { create, store } = await openServer(t)
  const [mac] = macsOf(await create(vms, 'ns', vm('a', undefined)))
  const owner = { uid: 'gone', kind: 'VirtualMachine', namespace: 'ns', name: 'gone' }
  await store.update('/claims/02:00:00:00:00:0a', () => ({ type: 'put', value: { owner, uids: ['gone'] } }))
  const { create: createLater } = await openServer(t, store)
  assert.deepEqual(await claimed(store), [mac])
  await assert.rejects(createLater(vms, 'ns', vm('b', mac)), { message: /VM ns\/a has it/ })
  await createLater(vms, 'ns', vm('c', '02:00:00:00:00:0a'))
})

test('what a store of before claims has is claimed at the start; of twins the first one has it', async (t) => {
  const { create, registry, store } = await openServer(t)
  for (const name of ['a', 'b']) {
    const doc = await create(vms, 'ns', vm(name, `02:00:00:00:00:0${name}`))
    const value = { ...doc, spec: vm(name, '02:00:00:00:00:0c').spec } as unknown as JsonObject
    await store.update(`/kubevirt.io/virtualmachines/ns/${name}`, () => ({ type: 'put', value }))
    await registry.claims.release(doc.metadata.uid!)
  }
  assert.deepEqual(await claimed(store), [])
  const later = await openServer(t, store)
  assert.deepEqual(await claimed(store), ['02:00:00:00:00:0c'])
  // The other one can still be changed, and repaired.
  const key = { namespace: 'ns', name: 'b' }
  const labelled = (now: Doc) =>
    ({ ...now, metadata: { ...now.metadata, labels: { a: 'b' } } }) as unknown as JsonObject
  await later.registry.update(vms, key, labelled, admin)
  const { spec } = vm('b', '02:00:00:00:00:0d')
  await later.registry.update(vms, key, (now) => ({ ...now, spec }) as unknown as JsonObject, admin)
  assert.deepEqual(await claimed(store), ['02:00:00:00:00:0c', '02:00:00:00:00:0d'])
})

test('two interfaces of one VM do not have one address, in whatever spelling', async (t) => {
  const { create } = await openServer(t)
  await assert.rejects(create(vms, 'ns', vm('a', '02:00:00:00:00:0a', '02-00-00-00-00-0A')), {
    message: /interface "n1" cannot have .*: interface "n0" of this VM has it/,
  })
})

test('addresses that no interface can have are refused', async (t) => {
  const { create } = await openServer(t)
  for (const [mac, why] of [
    ['00:00:00:00:00:00', /all-zero MAC address/],
    ['01:00:5e:00:00:01', /multicast MAC address/],
    ['ff:ff:ff:ff:ff:ff', /multicast MAC address/],
  ] as const)
    await assert.rejects(create(vms, 'ns', vm('a', mac)), { kind: 'Invalid', message: why })
})
