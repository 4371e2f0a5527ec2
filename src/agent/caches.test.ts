import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Pod } from '#apis/core/pod.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { apiVersionOf } from '#apis/meta/object.ts'
import { NetworkAttachmentDefinition as Nad } from '#apis/net/attachment.ts'
import { openApi } from '#kit/server/memory-api.ts'
import { instanceOf, nadsIn, openCaches, podAt, podKey, podsBeside, podsOf } from './caches.ts'
import { unhealthy } from './probes.ts'

test('an agent finds the pods of an instance, and what they need, on its node alone', async (t) => {
  const { client, options } = await openApi(t)
  const makePod = (name: string, vmi: string, nodeName = 'n') =>
    client.create(Pod, {
      ...{ apiVersion: 'v1', kind: 'Pod', spec: { nodeName, containers: [] } },
      metadata: { namespace: 'ns', name, labels: { 'vm.kubevirt.io/name': vmi } },
    })
  const makeVmi = (name: string, node: string) =>
    client.create(VirtualMachineInstance, {
      ...{ apiVersion: apiVersionOf(VirtualMachineInstance), kind: VirtualMachineInstance.kind },
      metadata: { namespace: 'ns', name, labels: { 'kubevirt.io/nodeName': node } },
      spec: { domain: { devices: {} } },
    })
  const source = await makePod('source', 'x')
  const target = await makePod('target', 'x')
  const other = await makePod('other', 'y')
  await makePod('elsewhere', 'x', 'm')
  const vmi = await makeVmi('x', 'n')
  await makeVmi('y', 'm')
  const metadata = { namespace: 'ns', name: 'red', annotations: { 'x.io/a': 'b' } }
  const config = '{"type":"bridge"}'
  await client.create(Nad, { apiVersion: apiVersionOf(Nad), kind: Nad.kind, metadata, spec: { config } })
  const caches = openCaches(client, 'n', options)
  await Promise.all([caches.pods, caches.vmis, caches.nads].map((one) => one.synced))
  const names = (pods: readonly Pod[]) => pods.map((pod) => pod.metadata.name).toSorted()
  assert.deepEqual(names(podsBeside(caches, source.metadata.uid)), ['source', 'target'])
  assert.deepEqual(names(podsBeside(caches, other.metadata.uid)), ['other'])
  assert.deepEqual(names(podsBeside(caches, 'unknown')), [])
  assert.deepEqual(names(podsOf(caches, vmi)), ['source', 'target'])
  assert.equal(podAt(caches, podKey(target))?.metadata.uid, target.metadata.uid)
  assert.equal(podAt(caches, 'ns/elsewhere'), undefined)
  assert.deepEqual([instanceOf(caches, source)?.metadata.name, instanceOf(caches, other)], ['x', undefined])
  const { configOf, annotationsOf } = nadsIn(caches, () => undefined)
  assert.deepEqual([configOf('ns/red'), annotationsOf('ns/red')], [config, metadata.annotations])
  assert.deepEqual([configOf('ns/blue'), configOf('red'), annotationsOf('pod')], [undefined, undefined, undefined])
})

const bad = { readiness: { isWell: false, message: 'HTTP status 500' }, failed: { message: 'no answer', sinceMs: 1 } }
for (const [what, health, probe, expected] of [
  ['that is ready again', { readiness: { isWell: true, message: '' }, failed: undefined }, 'readiness', undefined],
  ['that is not ready', bad, 'readiness', 'Readiness probe failed: HTTP status 500'],
  ['that is to be ended', bad, 'liveness', 'Liveness probe failed: no answer; the guest is ended'],
  ['that was forgotten', { readiness: undefined, failed: undefined }, 'liveness', undefined],
] as const)
  test(`an Event about the ${probe} probe of a guest ${what}`, () =>
    assert.equal(unhealthy(health as unknown as Parameters<typeof unhealthy>[0], probe), expected))
