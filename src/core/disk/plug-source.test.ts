import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PersistentVolumeClaim } from '#apis/core/persistentvolumeclaim.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { plugSourceOf, type SeenClaim } from './plug-source.ts'

const vmi = {
  metadata: { name: 'x', namespace: 'ns', uid: 'x' },
  spec: {
    domain: { devices: {} },
    volumes: [{ name: 'd', persistentVolumeClaim: { claimName: 'c', hotpluggable: true } }],
  },
  status: { phase: 'Running' },
} as unknown as VirtualMachineInstance
const user = { ...vmi, metadata: { ...vmi.metadata, name: 'y', uid: 'a' } }
const bound = {
  metadata: { name: 'c', namespace: 'ns', uid: 'u', labels: { 'patchbay.dev/node': 'n' } },
  spec: { resources: { requests: { storage: '1Gi' } } },
  status: { phase: 'Bound' },
} as unknown as PersistentVolumeClaim
const elsewhere = { ...bound, metadata: { ...bound.metadata, labels: { 'patchbay.dev/node': 'other' } } }
const deleted = { ...bound, metadata: { ...bound.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } }
const { status: _, ...unbound } = bound

for (const [what, seen, text] of [
  ['does not exist', { claim: undefined }, 'Pending PVC ns/c does not exist, waiting for it to appear'],
  ['is being deleted', { claim: deleted }, 'Pending PVC ns/c is being deleted; make another one'],
  ['is not bound', { claim: unbound }, 'Pending PVC ns/c is not bound, waiting for it to be'],
  [
    ...(['is on another node', { claim: elsewhere }] as const),
    'Bound the disk of PVC ns/c is on node other, and the guest is on n: make the claim again on that node',
  ],
  [
    ...(['has no content yet', { isPopulated: false }] as const),
    'Bound the disk of PVC ns/c has not got its content, waiting for it',
  ],
  ['is used', { users: [user] }, 'Bound PVC ns/c is used by the instance y, waiting for it to be released'],
] as const satisfies readonly (readonly [string, Partial<SeenClaim>, string])[])
  test(`a volume whose claim ${what} waits for that, in a sentence`, () => {
    const source = plugSourceOf('c', vmi, { claim: bound, isPopulated: true, users: [], ...seen }, 'n')
    assert.equal('waits' in source && `${source.waits.phase} ${source.waits.message}`, text)
  })

test('a volume whose claim is ready has a file', () => {
  const source = plugSourceOf('c', vmi, { claim: bound, isPopulated: true, users: [vmi] }, 'n')
  assert.deepEqual('file' in source && source.file, { is: 'claim', uid: 'u', bytes: 2 ** 30, isOverlaid: false })
})
