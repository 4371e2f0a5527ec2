import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Node } from '#apis/core/node.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { findCondition } from './conditions.ts'
import { chooseNode, noAllocation } from './scheduling.ts'
import { unreachableInstance, unreachableNode } from './unreachable.ts'

const now = '2026-01-01T00:00:00Z'
const ready = [{ type: 'Ready', status: 'True' }] as const
const nodeOf = (name: string) => ({ metadata: { name }, status: { conditions: ready } }) as unknown as Node
const vmiOf = (phase: string) =>
  ({
    metadata: { name: 'x' },
    spec: { domain: { devices: {} } },
    status: { phase, conditions: ready },
  }) as unknown as VirtualMachineInstance

test('nothing is placed on a node that is unknown, not ready or cordoned', () => {
  const [a, b] = [nodeOf('a'), nodeOf('b')]
  const unknown = unreachableNode(a, now)!
  const vmi = vmiOf('Pending')
  const chosen = (nodes: readonly Node[]) => {
    const place = chooseNode(vmi, nodes, () => noAllocation)
    return 'node' in place ? place.node.metadata.name : undefined
  }
  assert.equal(chosen([a, b]), 'a')
  assert.equal(chosen([unknown, b]), 'b')
  assert.equal(chosen([{ ...a, spec: { unschedulable: true } }, b]), 'b')
  assert.equal(chosen([unknown]), undefined)
  assert.equal(unreachableNode(unknown, now), undefined)
})

test('an instance on an unknown node is not ready, once, while it is the agent’s', () => {
  const marked = unreachableInstance(vmiOf('Running'), 'a', now)!
  const { status, reason, message } = findCondition(marked.status?.conditions, 'Ready')!
  assert.deepEqual([status, reason], ['False', 'NodeNotReady'])
  assert.equal(message, 'node "a" is not ready: patchbay agent stopped posting node status.')
  assert.equal(unreachableInstance(marked, 'a', now), undefined)
  for (const phase of ['Pending', 'Scheduling', 'Succeeded', 'Failed'])
    assert.equal(unreachableInstance(vmiOf(phase), 'a', now), undefined, phase)
})
