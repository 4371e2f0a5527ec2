import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Node } from '#apis/core/node.ts'
import type { Pod } from '#apis/core/pod.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { launcherPod } from './launcher.ts'
import { podBytesOf } from './memory.ts'
import { type Allocation, chooseNode, podMemory } from './scheduling.ts'

const node = (name: string, allocatable: Readonly<Record<string, string>> = {}, over: Partial<Node> = {}): Node => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name },
  status: { conditions: [{ type: 'Ready', status: 'True' }], allocatable },
  ...over,
})
const vmi = (guest = '1Gi', nodeSelector?: Readonly<Record<string, string>>) =>
  ({
    metadata: { name: 'x', uid: 'u' },
    spec: { domain: { memory: { guest }, devices: {} }, ...(nodeSelector && { nodeSelector }) },
  }) as unknown as VirtualMachineInstance
const podBytes = podBytesOf(vmi().spec)
const takenBy =
  (pods: Readonly<Record<string, number>> = {}) =>
  (name: string): Allocation => ({ pods: pods[name] ?? 0, bytes: (pods[name] ?? 0) * podBytes, devices: new Map() })
const podOn = (nodeName: string): Pod => launcherPod(vmi(), { nodeName, user: undefined })
const chosen = (placement: ReturnType<typeof chooseNode>) =>
  'node' in placement ? placement.node.metadata.name : placement.why

test('a pod says the memory of its guest and what its processes take beside it', () => {
  const pod = podOn('a')
  assert.equal(podMemory(pod, 'requests'), podBytes)
  assert.equal(podMemory(pod, 'limits'), podBytes)
  assert.equal(podMemory({ ...pod, spec: { containers: [{ name: 'compute' }] } }, 'requests'), 0)
})

test('an instance goes to the node with the fewest pods, by name among equals, and never for its name alone', () => {
  const nodes = [node('evil'), node('b'), node('a')]
  assert.equal(chosen(chooseNode(vmi(), nodes, takenBy())), 'a')
  assert.equal(chosen(chooseNode(vmi(), nodes, takenBy({ a: 1 }))), 'b')
  assert.equal(chosen(chooseNode(vmi(), nodes, takenBy({ a: 1, b: 1 }))), 'evil')
  assert.equal(chosen(chooseNode(vmi(), nodes, takenBy({ b: 1 }), { leaving: 'a' })), 'evil')
  assert.equal(chosen(chooseNode(vmi(), [node('a')], takenBy(), { leaving: 'a' })), 'a')
})

test('a node without room takes no more, and each reason is counted', () => {
  const bytes = podBytes
  assert.equal(chosen(chooseNode(vmi(), [node('a', { memory: `${bytes}` })], takenBy())), 'a')
  const why = (nodes: readonly Node[], taken = takenBy(), one = vmi()) => chosen(chooseNode(one, nodes, taken))
  const see = '; see kubectl describe nodes'
  assert.equal(why([node('a', { memory: `${bytes - 1}` })]), `0/1 nodes are available: 1 Insufficient memory${see}`)
  assert.equal(
    why([node('a', { memory: `${2 * bytes - 1}`, pods: '1' }), node('b', { pods: '0' })], takenBy({ a: 1 })),
    `0/2 nodes are available: 1 Insufficient memory, 2 Too many pods${see}`,
  )
  const nodes = [node('a', {}, { spec: { unschedulable: true } }), node('b', {}, { status: {} }), node('c')]
  assert.equal(
    why(nodes, takenBy(), vmi('1Gi', { zone: 'x' })),
    `0/3 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 1 node(s) were not ready, 1 node(s) were unschedulable${see}`,
  )
  assert.equal(why([]), `0/0 nodes are available${see}`)
})

test('an instance goes to a node of its architecture', () => {
  const of = (name: string, arch: string) =>
    node(name, {}, { metadata: { name, labels: { 'kubernetes.io/arch': arch } } })
  const nodes = [of('a', 'arm64'), of('b', 'amd64')]
  const wants = (architecture: string) => ({ ...vmi(), spec: { ...vmi().spec, architecture } })
  assert.equal(chosen(chooseNode(wants('amd64'), nodes, takenBy())), 'b')
  assert.equal(chosen(chooseNode(wants(''), nodes, takenBy())), 'a')
  assert.match(chosen(chooseNode(wants('s390x'), nodes, takenBy())), /2 node\(s\) didn't match Pod's node affinity/)
})
