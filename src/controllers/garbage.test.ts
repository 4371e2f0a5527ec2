import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { kinds } from '#apis/kinds.ts'
import { apiVersionOf, isVersionOf, type OwnerReference, type Stored } from '#apis/meta/object.ts'
import { NetworkAttachmentDefinition as Nad } from '#apis/net/attachment.ts'
import { eventually } from '#base/wait.ts'
import { openApi } from '#kit/server/memory-api.ts'
import type { Propagation } from '#machinery/client/client.ts'
import { startGarbageController } from './garbage.ts'

/** Objects that own one another, by name; `top` and `other` are there. */
async function open(t: TestContext) {
  const { client, options, stopping, store } = await openApi(t)
  const controller = stopping(startGarbageController({ client, kinds, ...options }))
  const make = (name: string, owners: readonly Partial<OwnerReference>[] = [], finalizers: string[] = []) =>
    client.create(Nad, {
      apiVersion: apiVersionOf(Nad),
      kind: Nad.kind,
      metadata: { name, namespace: 'ns', finalizers, ownerReferences: owners as OwnerReference[] },
      spec: { config: '{"cniVersion":"1.0.0","type":"bridge"}' },
    })
  const owned = ({ metadata: { name, uid } }: Stored<Nad>, over: Partial<OwnerReference> = {}) => ({
    ...{ apiVersion: apiVersionOf(Nad), kind: Nad.kind, name, uid },
    ...over,
  })
  const get = (name: string) => client.get(Nad, { namespace: 'ns', name })
  const gone = (name: string) => eventually(`${name} is gone`, async () => (await get(name)) === undefined)
  const remove = (name: string, propagation?: Propagation) =>
    client.delete(Nad, { namespace: 'ns', name }, { ...(propagation && { propagation }) })
  const release = (name: string) =>
    client.modify(Nad, { namespace: 'ns', name }, (one) => ({ ...one, metadata: { ...one.metadata, finalizers: [] } }))
  const [top, other] = [await make('top'), await make('other')]
  return { ...{ store, controller, make, owned, get, gone, remove, release, top, other } }
}

test('an object goes with its last owner, and what it owned goes after it', async (t) => {
  const { make, owned, get, gone, remove, top, other } = await open(t)
  const low = await make('low', [owned(top), owned(other)])
  await make('lowest', [owned(low)])
  await remove('top')
  await eventually('low forgets top', async () => {
    const owners = (await get('low'))?.metadata.ownerReferences
    return owners?.length === 1 && owners[0]?.name === 'other'
  })
  assert.ok(await get('lowest'))
  await remove('other')
  await gone('low')
  await gone('lowest')
})

for (const [what, over, isCollected] of [
  ['never existed', { name: 'nothing', uid: 'none' }, true],
  ['has the name of another object', { name: 'top', uid: 'of-an-earlier-one' }, true],
  ['is of a kind that is not served', { apiVersion: 'x.io/v1', kind: 'X', name: 'x', uid: 'x' }, false],
  ['is of another version of a kind', { apiVersion: 'k8s.cni.cncf.io/v9', uid: 'x' }, false],
] as const)
  test(`an object whose owner ${what} ${isCollected ? 'is deleted' : 'stays'}`, async (t) => {
    const { make, owned, get, gone, controller, top } = await open(t)
    await make('low', [owned(top, over)])
    // What is made later is looked at later by the same queue.
    await make('lost', [owned(top, { name: 'nothing', uid: 'none' })])
    await gone('lost')
    await controller.settled()
    if (isCollected) await gone('low')
    else assert.ok(await get('low'))
  })

test('an owner that is deleted in the foreground waits for dependents that block it, and for no others', async (t) => {
  const { make, owned, get, gone, remove, release, top } = await open(t)
  await make('blocking', [owned(top, { blockOwnerDeletion: true })], ['x.io/hold'])
  await make('free', [owned(top)], ['x.io/hold'])
  await remove('top', 'Foreground')
  for (const name of ['blocking', 'free'])
    await eventually(`${name} is going`, async () => (await get(name))?.metadata.deletionTimestamp)
  assert.deepEqual((await get('top'))?.metadata.finalizers, ['foregroundDeletion'])
  await release('blocking')
  await gone('top')
  assert.ok(await get('free'))
})

test('a dependent that has another owner survives a deletion in the foreground', async (t) => {
  const { make, owned, get, gone, remove, top, other } = await open(t)
  await make('shared', [owned(top, { blockOwnerDeletion: true }), owned(other)])
  await remove('top', 'Foreground')
  await gone('top')
  const left = await eventually('it forgets top', async () => {
    const one = await get('shared')
    return one?.metadata.ownerReferences?.length === 1 && one
  })
  assert.equal(left.metadata.deletionTimestamp, undefined)
})

test('dependents of an orphaning owner stay, and forget it before it goes', async (t) => {
  const { make, owned, get, gone, remove, controller, top, store } = await open(t)
  await make('low', [owned(top)])
  await remove('top', 'Orphan')
  await gone('top')
  await controller.settled()
  const low = await get('low')
  assert.deepEqual([low?.metadata.ownerReferences ?? [], low?.metadata.deletionTimestamp], [[], undefined])
  const { revision } = store
  controller.enqueue(low?.metadata.uid ?? '')
  await controller.settled()
  assert.equal(store.revision, revision, 'nothing more is written about it')
})

test('an owner in an older version that is served is the same owner', () => {
  const VM = { group: 'kubevirt.io', version: 'v1' }
  assert.deepEqual(
    ['kubevirt.io/v1', 'kubevirt.io/v1alpha3', 'kubevirt.io/v2', 'v1'].map((one) => isVersionOf(VM, one)),
    [true, true, false, false],
  )
  assert.equal(isVersionOf({ group: '', version: 'v1' }, 'v1'), true)
})
