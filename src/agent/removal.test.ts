import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { Fault } from '#base/fault.ts'
import { sandboxFinalizer } from '#core/vm/launcher.ts'
import { openAgent } from '#kit/agent/fake-host.ts'
import { ownerOf } from './observe.ts'
import { instancePass } from './pass.ts'
import { removeSandbox } from './removal.ts'

const vmi = {
  kind: 'VirtualMachineInstance',
  metadata: { name: 'x', namespace: 'ns', uid: 'v', labels: { 'kubevirt.io/nodeName': 'n' } },
  spec: { domain: { devices: {} } },
  status: { phase: 'Failed' },
} as unknown as VirtualMachineInstance

function open({ deletionTimestamp = undefined as string | undefined } = {}) {
  const agent = openAgent(vmi)
  const { metadata } = agent.world.pod
  const change = { finalizers: [sandboxFinalizer, 'x.io/other'], ...(deletionTimestamp && { deletionTimestamp }) }
  Object.assign(agent.world, { pod: { ...agent.world.pod, kind: 'Pod', metadata: { ...metadata, ...change } } })
  const remove = (owner: { vmi?: VirtualMachineInstance } = { vmi }) =>
    removeSandbox(agent.context, agent.world.pod, owner.vmi, new AbortController().signal)
  return { ...agent, remove }
}

test('a pod whose sandbox is removed loses its finalizer and is deleted, once', async () => {
  const { world, remove, host } = open()
  await remove()
  assert.deepEqual([host.story, world.deleted], [['remove'], ['Pod']])
  assert.deepEqual(world.pod.metadata.finalizers, ['x.io/other'])
  const going = open({ deletionTimestamp: '2026-01-01T00:00:00Z' })
  await going.remove()
  assert.deepEqual([going.world.deleted, going.world.pod.metadata.finalizers], [[], ['x.io/other']])
})

test('a sandbox that cannot be removed keeps its pod; pod and instance say why', async () => {
  const { world, remove, host } = open()
  host.failing.set('remove', new Fault('Unavailable', 'the plugin is gone'))
  await assert.rejects(remove(), { kind: 'Unavailable' })
  assert.deepEqual([world.deleted, world.pod.metadata.finalizers], [[], [sandboxFinalizer, 'x.io/other']])
  assert.equal(world.events.length, 2)
  for (const event of world.events) assert.match(event, /cannot be removed, and is tried again: the plugin is gone$/)
})

test('a removal that is aborted is no failure, and is not reported', async () => {
  const { world, remove, host } = open()
  host.failing.set('remove', new Fault('Aborted', 'Patchbay stops'))
  await assert.rejects(remove(), { kind: 'Aborted' })
  assert.deepEqual([world.events, world.deleted], [[], []])
})

test('what a plugin could not undo is reported for good: to pod and instance, as far as they are there', async () => {
  for (const [owner, count] of [
    [{ vmi }, 2],
    [{}, 1],
  ] as const) {
    const { world, remove, host } = open()
    host.lifecycle.remove = async () => ['a lease stays', 'a rule stays']
    await remove(owner)
    assert.deepEqual([world.events.length, world.deleted], [count, ['Pod']])
    assert.match(
      world.events[0] ?? '',
      /^FailedKillPod the sandbox of pod .* was removed, .*: a lease stays; a rule stays$/,
    )
  }
})

const reference = { apiVersion: 'kubevirt.io/v1', kind: 'VirtualMachineInstance', name: 'x', uid: 'v' }
const onNode = (node: string | undefined, uid = 'v') =>
  ({ ...vmi, metadata: { ...vmi.metadata, uid, labels: node && { 'kubevirt.io/nodeName': node } } }) as typeof vmi

for (const [what, references, cached, stored, expected, isRemoved] of [
  ['without an owner', [], undefined, vmi, 'unknown', false],
  ['of another kind of owner', [{ ...reference, kind: 'Deployment' }], undefined, vmi, 'unknown', false],
  ['whose instance the agent sees', [reference], vmi, undefined, 'here', false],
  ['whose instance only the server has yet', [reference], undefined, vmi, 'here', false],
  ['whose instance moved to another node', [reference], undefined, onNode('m'), 'elsewhere', false],
  ['whose instance is on no node', [reference], undefined, onNode(undefined), 'elsewhere', false],
  ['whose instance is gone', [reference], undefined, undefined, 'gone', true],
  ['whose instance was replaced by one of its name', [reference], onNode('n', 'w'), onNode('n', 'w'), 'gone', true],
] as const)
  test(`a pod ${what}: its owner is ${expected}`, async () => {
    const agent = open()
    const client = { ...agent.context.client, get: async () => stored as never }
    const context = { ...agent.context, client }
    const pod = { ...agent.world.pod, metadata: { ...agent.world.pod.metadata, ownerReferences: references } }
    assert.equal((await ownerOf(context, pod, cached)).is, expected)
    if (expected === 'here') return
    const pass = (one = pod) => instancePass(context, one, cached, new AbortController().signal)
    await pass()
    assert.deepEqual(agent.host.story, isRemoved ? ['remove'] : [])
    await pass({ ...pod, metadata: { ...pod.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } })
    assert.equal(agent.host.story.at(-1), 'remove', 'a pod that is being deleted goes with its sandbox')
  })
