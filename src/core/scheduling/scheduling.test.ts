import assert from 'node:assert/strict'
import { describe, it, test } from 'node:test'
import type { Node, Taint } from '#apis/core/node.ts'
import type { Affinity, NodeRequirement, NodeTerm, PodTerm, Toleration } from '#apis/kubevirt/affinity.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { chooseNode, noAllocation } from '../vm/scheduling.ts'
import { matchesNodeAffinity } from './node-affinity.ts'
import { type PlacedPod, podVeto } from './pod-affinity.ts'
import { untolerated } from './taints.ts'

const node = (name: string, labels: Readonly<Record<string, string>> = {}, taints: readonly Taint[] = []): Node => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name, labels },
  spec: { taints },
  status: { conditions: [{ type: 'Ready', status: 'True' }] },
})

describe('a node affinity', () => {
  const one = node('n1', { zone: 'a', cores: '8' })
  const isMet = (...nodeSelectorTerms: readonly NodeTerm[]) =>
    matchesNodeAffinity(one, {
      nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } },
    })
  const rows: readonly [operator: NodeRequirement['operator'], key: string, values: string[] | undefined, boolean][] = [
    ['In', 'zone', ['a', 'b'], true],
    ['In', 'zone', ['b'], false],
    ['In', 'rack', ['a'], false],
    ['In', 'zone', undefined, false],
    ['NotIn', 'zone', ['b'], true],
    ['NotIn', 'zone', ['a'], false],
    ['NotIn', 'rack', ['a'], true],
    ['Exists', 'zone', undefined, true],
    ['Exists', 'rack', undefined, false],
    ['DoesNotExist', 'rack', undefined, true],
    ['DoesNotExist', 'zone', undefined, false],
    ['Gt', 'cores', ['7'], true],
    ['Gt', 'cores', ['8'], false],
    ['Lt', 'cores', ['9'], true],
    ['Lt', 'cores', ['8'], false],
    ['Gt', 'zone', ['0'], false],
    ['Lt', 'rack', ['9'], false],
  ]
  for (const [operator, key, values, is] of rows)
    it(`${key} ${operator} ${values ?? 'nothing'} is ${is}`, () => {
      assert.equal(isMet({ matchExpressions: [{ key, operator, ...(values && { values }) }] }), is)
    })

  it('is met by one of its terms, of which all parts must hold; an empty term matches nothing', () => {
    const zone = (value: string): NodeRequirement => ({ key: 'zone', operator: 'In', values: [value] })
    const name = (value: string): NodeRequirement => ({ key: 'metadata.name', operator: 'In', values: [value] })
    assert.equal(isMet({ matchExpressions: [zone('b')] }, { matchExpressions: [zone('a')] }), true)
    assert.equal(isMet({ matchExpressions: [zone('a'), zone('b')] }), false)
    assert.equal(isMet({ matchFields: [name('n1')] }), true)
    assert.equal(isMet({ matchFields: [name('n2')], matchExpressions: [zone('a')] }), false)
    assert.equal(isMet({}), false)
    assert.equal(isMet(), false)
    assert.equal(matchesNodeAffinity(one, { nodeAffinity: {} }), true)
  })
})

test('a taint keeps off what does not tolerate it', () => {
  const taint: Taint = { key: 'gpu', value: 'yes', effect: 'NoSchedule' }
  const rows: readonly [Toleration, isTolerated: boolean][] = [
    [{ key: 'gpu', value: 'yes' }, true],
    [{ key: 'gpu', operator: 'Equal', value: 'no' }, false],
    [{ key: 'gpu', operator: 'Exists' }, true],
    [{ key: 'gpu', operator: 'Exists', effect: 'NoExecute' }, false],
    [{ key: 'gpu', operator: 'Exists', effect: 'NoSchedule' }, true],
    [{ key: 'cpu', operator: 'Exists' }, false],
    [{ operator: 'Exists' }, true],
    [{}, false],
  ]
  for (const [toleration, isTolerated] of rows)
    assert.equal(
      untolerated(node('n', {}, [taint]), [toleration]) === undefined,
      isTolerated,
      JSON.stringify(toleration),
    )
  assert.equal(untolerated(node('n', {}, [taint])), taint)
  assert.equal(untolerated(node('n', {}, [{ ...taint, effect: 'PreferNoSchedule' }])), undefined)
})

describe('an affinity between pods', () => {
  const nodes = [node('n1', { zone: 'a' }), node('n2', { zone: 'b' }), node('n3')]
  const required = (...terms: readonly PodTerm[]) => ({ requiredDuringSchedulingIgnoredDuringExecution: terms })
  const app = (value: string, more: Partial<PodTerm> = {}): PodTerm => ({
    labelSelector: { matchLabels: { app: value } },
    topologyKey: 'zone',
    ...more,
  })
  const pod = (name: string, on: string, affinity?: Affinity, namespace = 'ns'): PlacedPod => ({
    namespace,
    labels: { app: name },
    node: on,
    affinity,
  })
  const vetoes = (affinity: Affinity | undefined, placed: readonly PlacedPod[]) => {
    const newcomer = { namespace: 'ns', labels: { app: 'web' }, affinity }
    const veto = podVeto(newcomer, placed, (name) => nodes.find(({ metadata }) => metadata.name === name))
    return nodes.map((one) => veto(one)?.replace("node(s) didn't ", '') ?? '')
  }

  it('keeps an instance near others, in the same place by a label of nodes', () => {
    const off = 'match pod affinity rules'
    const affinity = { podAffinity: required(app('db')) }
    assert.deepEqual(vetoes(affinity, [pod('db', 'n1')]), ['', off, off])
    assert.deepEqual(vetoes(affinity, []), [off, off, off])
    assert.deepEqual(vetoes(affinity, [pod('db', 'n1', undefined, 'other')]), [off, off, off])
    const anywhere = { podAffinity: required(app('db', { namespaceSelector: {} })) }
    assert.deepEqual(vetoes(anywhere, [pod('db', 'n1', undefined, 'other')]), ['', off, off])
    const named = { podAffinity: required(app('db', { namespaces: ['other'] })) }
    assert.deepEqual(vetoes(named, [pod('db', 'n2', undefined, 'other')]), [off, '', off])
  })

  it('lets the first of a group that is to be together go where there is such a place', () => {
    const off = 'match pod affinity rules'
    const together = { podAffinity: required(app('web')) }
    assert.deepEqual(vetoes(together, []), ['', '', off])
    assert.deepEqual(vetoes(together, [pod('web', 'n2')]), [off, '', off])
  })

  it('keeps an instance apart from others, whichever of both says so', () => {
    const apart = { podAntiAffinity: required(app('web')) }
    assert.deepEqual(vetoes(apart, [pod('web', 'n1')]), ['match pod anti-affinity rules', '', ''])
    assert.deepEqual(vetoes(undefined, [pod('db', 'n2', apart)]), ['', 'satisfy existing pods anti-affinity rules', ''])
  })
})

test('each reason why no node takes an instance is counted, in the words of Kubernetes', () => {
  const why = (spec: Partial<VirtualMachineInstance['spec']>, pods: readonly PlacedPod[] = []) => {
    const vmi = {
      metadata: { name: 'x', namespace: 'ns', uid: 'u', labels: { app: 'web' } },
      spec: { domain: { devices: {} }, ...spec },
    } as unknown as VirtualMachineInstance
    const all = [node('n1', { zone: 'a' }), node('n2', {}, [{ key: 'gpu', value: 'yes', effect: 'NoExecute' }])]
    const placement = chooseNode(vmi, all, () => noAllocation, { pods })
    return 'why' in placement ? placement.why : placement.node.metadata.name
  }
  const mars: Affinity = {
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: [{ matchExpressions: [{ key: 'zone', operator: 'In', values: ['mars'] }] }],
      },
    },
  }
  assert.equal(
    why({ affinity: mars }),
    "0/2 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 1 node(s) had untolerated taint {gpu: yes}; see kubectl describe nodes",
  )
  const apart: Affinity = {
    podAntiAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: [
        { labelSelector: { matchLabels: { app: 'web' } }, topologyKey: 'zone' },
      ],
    },
  }
  const other = { namespace: 'ns', labels: { app: 'web' }, node: 'n1', affinity: undefined }
  assert.match(why({ affinity: apart }, [other]), /: 1 node\(s\) didn't match pod anti-affinity rules, 1 node\(s\) had/)
  assert.equal(why({ affinity: apart, tolerations: [{ operator: 'Exists' }] }, [other]), 'n2')
  const itself = { ...other, labels: { app: 'web', 'kubevirt.io/created-by': 'u' } }
  assert.equal(why({ affinity: apart }, [itself]), 'n1')
})
