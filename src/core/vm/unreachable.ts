import type { Node } from '#apis/core/node.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { findCondition, withCondition } from './conditions.ts'
import { isScheduled } from './launcher.ts'
import { isFinal } from './power.ts'

const stopped = 'patchbay agent stopped posting node status.'

/** A node whose Lease has expired, in Kubernetes' words; undefined when its status says so already. */
export function unreachableNode(node: Node, now: string): Node | undefined {
  if (findCondition(node.status?.conditions, 'Ready')?.status === 'Unknown') return undefined
  const unknown = { type: 'Ready', status: 'Unknown', reason: 'NodeStatusUnknown', message: stopped } as const
  return { ...node, status: { ...node.status, conditions: withCondition(node.status?.conditions, unknown, now) } }
}

/**
 * An instance on a node whose Lease has expired: whether its guest runs is unknown. Undefined for an instance that is not
 * scheduled yet or has ended, or whose status says so already.
 */
export function unreachableInstance(
  vmi: VirtualMachineInstance,
  node: string,
  now: string,
): VirtualMachineInstance | undefined {
  const old = findCondition(vmi.status?.conditions, 'Ready')
  if (!isScheduled(vmi) || isFinal(vmi) || old?.reason === 'NodeNotReady') return undefined
  const message = `node "${node}" is not ready: ${stopped}`
  const notReady = { type: 'Ready', status: 'False', reason: 'NodeNotReady', message } as const
  return { ...vmi, status: { ...vmi.status, conditions: withCondition(vmi.status?.conditions, notReady, now) } }
}
