import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Stored } from '#apis/meta/object.ts'
import { adopted, inTheWay, type Ownership, ownershipOf } from './ownership.ts'

const vm = {
  apiVersion: 'kubevirt.io/v1',
  kind: 'VirtualMachine',
  metadata: { name: 'a', namespace: 'ns', uid: 'new' },
  spec: { runStrategy: 'Always', template: { spec: { domain: { devices: {} } } } },
} as unknown as Stored<VirtualMachine>

const owner = (uid: string, over: object = {}) => ({
  ...{ apiVersion: 'kubevirt.io/v1', kind: 'VirtualMachine', name: 'a', uid, controller: true },
  ...over,
})
const vmi = (ownerReferences: readonly object[] | undefined, metadata: object = {}, phase = 'Running') =>
  ({
    metadata: { name: 'a', namespace: 'ns', uid: 'i', ...(ownerReferences && { ownerReferences }), ...metadata },
    status: { phase },
  }) as unknown as Stored<VirtualMachineInstance>

const cases: readonly [what: string, instance: Stored<VirtualMachineInstance>, is: Ownership][] = [
  ['its own', vmi([owner('new')]), 'own'],
  ['its own, ended', vmi([owner('new')], {}, 'Failed'), 'own'],
  ['one without owners', vmi(undefined), 'orphan'],
  ['one that only somebody without control owns', vmi([owner('x', { controller: undefined })]), 'orphan'],
  ['one without owners that has ended', vmi(undefined, {}, 'Succeeded'), 'foreign'],
  ['one that is being deleted', vmi(undefined, { deletionTimestamp: 't' }), 'leaving'],
  ['that of an earlier VM of its name', vmi([owner('old')]), 'leaving'],
  ["another controller's", vmi([owner('old', { kind: 'VirtualMachineInstanceReplicaSet', name: 'set' })]), 'foreign'],
]
for (const [what, instance, is] of cases)
  test(`a VM finds an instance of its name: ${what} is ${is}`, () => {
    assert.equal(ownershipOf(vm, instance), is)
    const made = adopted(vm, instance)
    assert.equal(made !== undefined, is === 'orphan')
    if (made) assert.equal(ownershipOf(vm, made), 'own')
  })

test('a VM that is to be halted adopts no guest that runs', () => {
  const halted = { ...vm, spec: { ...vm.spec, runStrategy: 'Halted' } } as const
  assert.equal(ownershipOf(halted, vmi(undefined)), 'foreign')
  assert.equal(ownershipOf(halted, vmi([owner('new')])), 'own')
})

test('an adopted instance keeps its other owners and labels', () => {
  const other = owner('x', { controller: undefined, kind: 'ConfigMap' })
  const { labels, ownerReferences } = adopted(vm, vmi([other], { labels: { app: 'web' } }))?.metadata ?? {}
  assert.deepEqual(labels, { app: 'web', 'kubevirt.io/vm': 'a' })
  assert.deepEqual(
    ownerReferences?.map(({ uid, controller }) => [uid, controller]),
    [
      ['x', undefined],
      ['new', true],
    ],
  )
})

test('what is in the way is named with its owner, and what to do', () => {
  const set = owner('old', { kind: 'VirtualMachineInstanceReplicaSet', name: 'set' })
  assert.match(
    inTheWay(vmi([set])),
    /"a" is not of this VM: it belongs to VirtualMachineInstanceReplicaSet "set"; delete it/,
  )
  assert.match(inTheWay(vmi(undefined, {}, 'Failed')), /it has ended; delete it, or give the VM another name/)
})
