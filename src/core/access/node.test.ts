import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Event } from '#apis/core/event.ts'
import type { Node } from '#apis/core/node.ts'
import type { Pod } from '#apis/core/pod.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import {
  claimWrite,
  dataVolumeWrite,
  eventWrite,
  instanceWrite,
  nodeOf,
  nodeReadVeto,
  nodesGroup,
  nodeWrite,
  podWrite,
} from './node.ts'

const agent = { name: 'system:node:n1', groups: [nodesGroup] }
const jane = { name: 'jane', groups: [] }
const placement = {
  nodeOfPod: (_namespace: string, name: string) => ({ mine: 'n1', other: 'n2' })[name],
  nodesOfInstance: (_namespace: string, name: string) =>
    ({ mine: ['n1'], other: ['n2'], unlabelled: [undefined, 'n1'] })[name] ?? [],
  nodeOfClaim: (_namespace: string, name: string) => (name === 'mine' ? 'n1' : undefined),
  nodesNaming: ({ name }: { name: string }) => (name === 'mine' ? [undefined, 'n1'] : ['n2']),
}

test('only members of the group of nodes are nodes, whatever they are called', () => {
  assert.equal(nodeOf(agent), 'n1')
  assert.equal(nodeOf({ name: 'system:node:n1', groups: [] }), undefined)
  assert.equal(nodeOf({ name: 'jane', groups: [nodesGroup] }), undefined)
})

const pods = { resource: 'pods', namespace: 'a' }
const claims = { resource: 'persistentvolumeclaims', namespace: 'a' }
const pools = { resource: 'configmaps', namespace: 'kube-system' }
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
  ['watches its own claims', { ...claims, verb: 'watch', labelSelector: 'patchbay.dev/node=n1' }, true],
  ['lists all claims', { ...claims, verb: 'list' }, false],
  ['gets a claim on it', { ...claims, verb: 'get', name: 'mine' }, true],
  ["gets another node's claim", { ...claims, verb: 'get', name: 'far' }, false],
  ['gets the DataVolume of a claim on it', { ...claims, resource: 'datavolumes', verb: 'get', name: 'mine' }, true],
  ["gets another node's DataVolume", { ...claims, resource: 'datavolumes', verb: 'get', name: 'far' }, false],
  ['gets the pools of virtual functions', { ...pools, verb: 'get', name: 'sriovdp-config' }, true],
  ['gets another ConfigMap beside them', { ...pools, verb: 'get', name: 'other' }, false],
  ['lists what is beside them', { ...pools, verb: 'list' }, false],
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
  assert.equal(nodeWrite(agent, node('n1'), undefined), undefined)
  assert.equal(nodeWrite(agent, node('n2'), undefined), 'node "n1" is not allowed to modify node "n2"')
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
    podWrite(jane, pod('n2'), pod('n2')) ?? nodeWrite(jane, node('n2'), undefined) ?? instanceWrite(jane, vmi('n2')),
    undefined,
  )
})

test('an agent leaves labels, owners and spec of its pods as they are', () => {
  const mine = pod('n1')
  const finalized = { ...mine, metadata: { ...mine.metadata, finalizers: ['a/b'], annotations: { a: 'b' } } }
  assert.equal(podWrite(agent, finalized, mine), undefined)
  for (const changed of [
    { ...mine, metadata: { ...mine.metadata, labels: { 'vm.kubevirt.io/name': 'other' } } },
    { ...mine, metadata: { ...mine.metadata, ownerReferences: [] }, spec: { ...mine.spec, hostname: 'x' } },
  ])
    assert.match(podWrite(agent, changed, mine) ?? '', /only change status, annotations and finalizers/)
})

test('an agent sets nothing on its node that could bring it instances', () => {
  const node = (over: Partial<Node['metadata']> = {}, spec?: Node['spec']): Node => ({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'n1', ...over },
    ...(spec && { spec }),
  })
  const labels = { 'kubernetes.io/hostname': 'n1', 'kubernetes.io/os': 'linux', 'kubernetes.io/arch': 'amd64' }
  assert.equal(nodeWrite(agent, node({ labels: { ...labels, 'kubevirt.io/schedulable': 'true' } }), node()), undefined)
  const given = node({ labels: { zone: 'a' } }, { unschedulable: true })
  assert.equal(nodeWrite(agent, node({ labels: { ...labels, zone: 'a' } }, given.spec), given), undefined)
  for (const [next, old, why] of [
    [node({ labels: { zone: 'b' } }), node(), /not allowed to modify labels: zone$/],
    [node({ labels: { zone: 'b' } }), undefined, /labels: zone$/],
    [node(), node({ labels: { 'node-restriction.kubernetes.io/x': 'y' } }), /labels: node-restriction.kubernetes.io/],
    [node({ labels: { 'kubernetes.io/hostname': 'n2' } }), node(), /labels: kubernetes.io\/hostname$/],
    [node({}, { unschedulable: false }), given, /labels: zone|its spec/],
    [
      node({}, { taints: [{ key: 'a', effect: 'NoSchedule' }] } as Node['spec']),
      node(),
      /not allowed to modify taints/,
    ],
    [node({ ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: 'x', uid: 'y' }] }), node(), /ownerReferences/],
  ] as const) {
    assert.match(nodeWrite(agent, next, old) ?? '', why)
    assert.equal(nodeWrite(jane, next, old), undefined)
  }
})

test('an agent speaks for itself, and about what is on its node', () => {
  const event = (kind: string, name: string, over: Partial<Event> = {}): Event => ({
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: 'e', namespace: 'a' },
    involvedObject: { kind, name },
    source: { component: 'patchbay-agent', host: 'n1' },
    ...over,
  })
  for (const [kind, name] of [
    ['Pod', 'mine'],
    ['VirtualMachineInstance', 'mine'],
    ['Node', 'n1'],
  ] as const)
    assert.equal(eventWrite(agent, event(kind, name), placement), undefined)
  const own = (over: Partial<Event>) => event('Pod', 'mine', over)
  for (const [bad, why] of [
    [event('Pod', 'other'), /about itself and the pods/],
    [event('VirtualMachineInstance', 'other'), /about itself and the pods/],
    [event('Node', 'n2'), /about itself and the pods/],
    [event('Secret', 'mine'), /about itself and the pods/],
    [own({ source: { component: 'patchbay-controller', host: 'n1' } }), /source.component/],
    [own({ reportingComponent: 'patchbay-controller' }), /source.component/],
    [own({ source: { component: 'patchbay-agent', host: 'n2' } }), /source.host/],
    [own({ source: { component: 'patchbay-agent' } }), /source.host/],
    [own({ reportingInstance: 'n2' }), /reportingInstance/],
  ] as const) {
    assert.match(eventWrite(agent, bad, placement) ?? '', why)
    assert.equal(eventWrite(jane, bad, placement), undefined)
  }
})

test('an agent writes claims and DataVolumes of its own node only, and of claims the finalizers', () => {
  const claim = (node: string, finalizers: readonly string[] = [], phase = 'Bound') => ({
    ...{ apiVersion: 'v1', kind: 'PersistentVolumeClaim', spec: {}, status: { phase } },
    metadata: { name: 'mine', namespace: 'a', labels: { 'patchbay.dev/node': node }, finalizers },
  })
  assert.equal(claimWrite(agent, claim('n1'), claim('n1', ['x'])), undefined)
  assert.equal(claimWrite(jane, claim('n2'), claim('n1')), undefined)
  assert.match(claimWrite(agent, claim('n1'), claim('n2')) ?? '', /label patchbay.dev\/node set to itself/)
  assert.match(claimWrite(agent, claim('n1'), undefined) ?? '', /label patchbay.dev\/node set to itself/)
  assert.match(claimWrite(agent, claim('n1', [], 'Lost'), claim('n1')) ?? '', /can only change finalizers/)
  const dv = (name: string) => ({ apiVersion: '', kind: 'DataVolume', metadata: { name, namespace: 'a' }, spec: {} })
  assert.equal(dataVolumeWrite(agent, dv('mine'), placement), undefined)
  assert.match(dataVolumeWrite(agent, dv('far'), placement) ?? '', /whose claim is on it/)
})
