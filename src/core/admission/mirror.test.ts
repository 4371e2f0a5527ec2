import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import { mirrorAnnotation } from '../nic/mirror.ts'
import { instanceMetadata, mirrorErrors, mirrorRefusal } from './mirror.ts'

const spec: VmiSpec = {
  domain: {
    devices: {
      interfaces: [
        { name: 'default', masquerade: {} },
        { name: 'mon', bridge: {}, state: 'absent' },
        { name: 'vf', sriov: {} },
      ],
    },
  },
  networks: [
    { name: 'default', pod: {} },
    { name: 'mon', multus: { networkName: 'red' } },
    { name: 'vf', multus: { networkName: 'vf' } },
  ],
}
const of = (value: unknown) => ({
  namespace: 'own',
  annotations: { [mirrorAnnotation]: typeof value === 'string' ? value : JSON.stringify(value) },
})
const errors = (value: unknown, old?: unknown) =>
  mirrorErrors(of(value), old === undefined ? undefined : of(old), spec).map(({ message }) => message)

test('networks are copied to interfaces that have a tap, absent ones too', () => {
  assert.deepEqual(mirrorErrors({ namespace: 'own' }, undefined, spec), [])
  for (const value of [{}, { mon: [] }, { mon: ['blue'], default: ['blue', 'far/green'] }])
    assert.deepEqual(errors(value), [])
})

for (const [what, value, expected] of [
  [
    'no JSON',
    'blue',
    /"blue": the annotation patchbay\.dev\/mirror has to be a JSON object with a list .*like \{"red":/,
  ],
  ['no lists', { mon: 'blue' }, /has to be a JSON object with a list/],
  ['no names', { mon: [''] }, /has to be a JSON object with a list/],
  ['an unknown interface', { eth0: ['blue'] }, /no interface "eth0" to copy traffic to; it has: default, mon, vf/],
  ['an interface without a tap', { vf: ['blue'] }, /interface "vf" is no tap/],
  ['no network', { mon: ['patchbay-none'] }, /"patchbay-none" is no NetworkAttachmentDefinition/],
  ['a path', { mon: ['a/b/c'] }, /"a\/b\/c" is no NetworkAttachmentDefinition/],
  ['too many', { mon: Array.from({ length: 17 }, (_, i) => `n${i}`) }, /names 17 networks; at most 16/],
] as const)
  test(`the annotation with the networks to copy is refused: ${what}`, () => {
    const [message, ...others] = errors(value)
    assert.match(message ?? '', expected)
    assert.deepEqual(others, [])
    assert.equal(mirrorErrors(of(value), undefined, spec)[0]?.field, `metadata.annotations[${mirrorAnnotation}]`)
    assert.deepEqual(errors(value, value), [], 'what is stored prevents nothing else')
  })

test('the right to copy a network is asked for each that a write adds, and nothing is looked up', () => {
  const asked: string[] = []
  const refusal = (value: unknown, old?: unknown, may: (name: string) => boolean = () => false) =>
    mirrorRefusal(of(value), old === undefined ? undefined : of(old), {
      user: 'jane',
      mayMirror: (namespace, name) => {
        asked.push(`${namespace}/${name}`)
        return may(name)
      },
    })
  assert.equal(
    refusal({ mon: ['blue', 'far/green'], default: ['red'] }, { default: ['own/red'] }, (name) => name === 'blue'),
    'user "jane" cannot copy the traffic of far/green to interface "mon": that takes the verb "mirror" on each of these network-attachment-definitions.k8s.cni.cncf.io; have a role there give it',
  )
  assert.deepEqual(asked.splice(0), ['own/blue', 'far/green'])
  assert.match(refusal({ mon: ['blue'] }, { default: ['blue'] }) ?? '', /own\/blue to interface "mon"/)
  asked.splice(0)
  for (const [value, old] of [
    [{ mon: ['blue'] }, { mon: ['own/blue', 'red'] }],
    [{}, { mon: ['blue'] }],
    ['nonsense', { mon: ['blue'] }],
  ])
    assert.equal(refusal(value, old), undefined)
  assert.deepEqual(asked, [])
  // What could not be read gave nobody anything.
  assert.match(refusal({ mon: ['blue'] }, 'nonsense') ?? '', /own\/blue/)
})

test('annotations of the template reach the instance as well, and count', () => {
  const vm = (own: object | undefined, template: unknown) =>
    ({ metadata: { namespace: 'own', annotations: own }, spec: { template: { metadata: template } } }) as VirtualMachine
  assert.deepEqual(instanceMetadata(vm(undefined, { annotations: { a: '1' } })).annotations, { a: '1' })
  assert.deepEqual(instanceMetadata(vm({ a: '2' }, { annotations: { a: '1', b: '3' } })).annotations, {
    a: '2',
    b: '3',
  })
  for (const odd of [undefined, null, 'x', { annotations: 'x' }])
    assert.deepEqual(instanceMetadata(vm({ a: '2' }, odd)).annotations, { a: '2' })
})
