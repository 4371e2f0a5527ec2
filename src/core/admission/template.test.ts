import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { instanceOf } from '../vm/instance.ts'
import { instanceErrors } from './instance.ts'
import { systemGroup, templateErrors } from './template.ts'

const jane = { groups: [] }
const vm = (metadata: unknown, over: Partial<VirtualMachine['metadata']> = {}): VirtualMachine => ({
  apiVersion: 'kubevirt.io/v1',
  kind: 'VirtualMachine',
  metadata: { name: 'x', namespace: 'ns', uid: 'u', ...over },
  spec: { template: { metadata, spec: { domain: { devices: {} } } } } as VirtualMachine['spec'],
})
const lines = (one: VirtualMachine, old?: VirtualMachine) =>
  templateErrors(one, old, jane).map(({ field, message }) => `${field}: ${message}`)

test('what a template makes is judged with the VM: labels and annotations that no instance can have are refused', () => {
  assert.deepEqual(lines(vm(undefined)), [])
  assert.deepEqual(lines(vm({ labels: { app: 'web' }, annotations: { note: 'any text, é' } })), [])
  for (const [metadata, line] of [
    [{ labels: { app: 'two words' } }, /^spec.template.metadata.labels: Invalid value: "two words": a valid label/],
    [{ labels: { 'a b': 'x' } }, /^spec.template.metadata.labels: Invalid value: "a b": name part/],
    [{ annotations: { 'a b': 'x' } }, /^spec.template.metadata.annotations: Invalid value: "a b": name part/],
    [{ annotations: { a: 'x'.repeat(262_144) } }, /^spec.template.metadata.annotations: Too long/],
    // Those of its pod come on top.
    [{ labels: Object.fromEntries(Array.from({ length: 997 }, (_, i) => [`l${i}`, ''])) }, /labels: Too many: 1002/],
  ] as const) {
    const bad = vm(metadata)
    assert.match(lines(bad)[0] ?? '', line)
    // What is stored already does not keep out other changes.
    assert.deepEqual(lines(bad, bad), [])
  }
  // Annotations of the VM that its instance gets too.
  const many = { annotations: Object.fromEntries([0, 1].map((i) => [`patchbay.dev/${i}`, 'x'.repeat(200_000)])) }
  assert.match(lines(vm({}, many))[0] ?? '', /Too long/)
})

test('a template brings in no label that only the controllers write', () => {
  for (const label of ['kubevirt.io/nodeName', 'kubevirt.io/created-by', 'kubevirt.io/migrationTargetNodeName']) {
    const bad = vm({ labels: { [label]: 'x' } })
    assert.match(lines(bad)[0] ?? '', /^spec.template.metadata.labels: creation of the following reserved/)
    assert.deepEqual(templateErrors(bad, undefined, { groups: [systemGroup] }), [])
  }
})

test('the name of an instance fits into the labels of its pod', () => {
  const vmi = (name: string) => instanceOf(vm({}, { name }))
  const own = ({ field }: { field: string }) => field.startsWith('metadata')
  assert.deepEqual(instanceErrors(vmi('x'.repeat(63)), undefined, jane).filter(own), [])
  const [error, ...more] = instanceErrors(vmi('x'.repeat(64)), undefined, jane).filter(own)
  assert.equal(error?.field, 'metadata.name')
  assert.deepEqual(more, [])
})
