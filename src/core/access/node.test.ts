import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pod } from '#apis/core/pod.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { instanceWrite, nodeOf, nodeReadVeto, nodesGroup, nodeWrite, podWrite } from './node.ts'

const agent = { name: 'system:node:n1', groups: [nodesGroup] }
const jane = { name: 'jane', groups: [] }
const placement = {
  nodeOfPod: (_namespace: string, name: string) => ({ mine: 'n1', other: 'n2' })[name],
  nodesOfInstance: (_namespace: string, name: string) =>
    ({ mine: ['n1'], other: ['n2'], unlabelled: [undefined, 'n1'] })[name] ?? [],
}

test('only members of the group of nodes are nodes, whatever they are called', () => {
  assert.equal(nodeOf(agent), 'n1')
  assert.equal(nodeOf({ name: 'system:node:n1', groups: [] }), undefined)
  assert.equal(nodeOf({ name: 'jane', groups: [nodesGroup] }), undefined)
})

const pods = { resource: 'pods', namespace: 'a' }
const vmis = { resource: 'virtualmachineinstances', namespace: 'a' }
for (const [what, wanted, allowed] of [
  ['lists its own pods', { ...pods, verb: 'list', fieldSelector: 'spec.nodeName=n1' }, true],
  ['watches its own pods', { ...pods, verb: 'watch', fieldSelector: 'spec.nodeName=n1' }, true],
  ['lists all pods', { ...pods, verb: 'list' }, false],
  ["lists another node's pods", { ...pods, verb: 'list', fieldSelector: 'spec.nodeName=n2' }, false],
  ['lists more than its own pods', { ...pods, verb: 'list', fieldSelector: 'spec.nodeName!=n2' }, false],
  ['gets its own pod', { ...pods, verb: 'get', name: 'mine' }, true],
  ["gets another node's pod", { ...pods, verb: 'get', name: 'other' }, false],
  ['gets a pod nobody knows', { ...pods, verb: 'get', name: 'new' }, false],
  ['watches its own instances', { ...vmis, verb: 'watch', labelSelector: 'kubevirt.io/nodeName=n1' }, true],
  ['watches all instances', { ...vmis, verb: 'watch' }, false],
  ["gets another node's instance", { ...vmis, verb: 'get', name: 'other' }, false],
  ['gets an instance that has a pod on it, and no label yet', { ...vmis, verb: 'get', name: 'unlabelled' }, true],
  ['gets its own instance', { ...vmis, verb: 'get', name: 'mine' }, true],
  ['lists networks', { resource: 'network-attachment-definitions', verb: 'list' }, true],
] as const)
  test(`an agent ${what}: ${allowed ? 'no veto' : 'vetoed'}`, () => {
    assert.equal(nodeReadVeto(agent, wanted, placement) === undefined, allowed)
    assert.equal(nodeReadVeto(jane, wanted, placement), undefined)
  })

const pod = (nodeName: string) => ({ metadata: { name: 'p' }, spec: { nodeName } }) as Pod
const vmi = (node: string) =>
  ({ metadata: { name: 'v', labels: { 'kubevirt.io/nodeName': node } } }) as unknown as VirtualMachineInstance

test('an agent writes its own node, pods and instances, and nobody moves a pod to or from it', () => {
  const node = (name: string) => ({ apiVersion: 'v1', kind: 'Node', metadata: { name } }) as const
  assert.equal(nodeWrite(agent, node('n1')), undefined)
  assert.equal(nodeWrite(agent, node('n2')), 'node "n1" is not allowed to modify node "n2"')
  assert.equal(podWrite(agent, pod('n1'), pod('n1')), undefined)
  for (const [now, old] of [
    [pod('n2'), pod('n2')],
    [pod('n1'), pod('n2')],
    [pod('n2'), pod('n1')],
  ] as const)
    assert.match(podWrite(agent, now, old) ?? '', /spec.nodeName set to itself/)
  assert.equal(instanceWrite(agent, vmi('n1')), undefined)
  assert.match(instanceWrite(agent, vmi('n2')) ?? '', /kubevirt.io\/nodeName set to itself/)
  assert.equal(
    podWrite(jane, pod('n2'), pod('n2')) ?? nodeWrite(jane, node('n2')) ?? instanceWrite(jane, vmi('n2')),
    undefined,
  )
})
