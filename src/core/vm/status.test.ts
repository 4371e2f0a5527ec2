import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Stored } from '#apis/meta/object.ts'
import { vmStatus } from './status.ts'

const domain = { launchSecurity: { sev: {} }, devices: {} }
const vm = {
  apiVersion: 'kubevirt.io/v1',
  kind: 'VirtualMachine',
  metadata: { name: 'a', namespace: 'ns', uid: 'u', generation: 1 },
  spec: { runStrategy: 'Always', template: { spec: { domain } } },
} as unknown as VirtualMachine
const at = (now: string, vmi?: Stored<VirtualMachineInstance>) => ({
  ...{ vmi, restartRequired: false, now, nowMs: Date.parse(now) },
})
const running = (conditions: readonly object[]) =>
  ({ metadata: { name: 'a', uid: 'i' }, spec: { domain }, status: { phase: 'Running', conditions } }) as never

for (const [what, vmi] of [
  ['without an instance', undefined],
  ['whose instance says nothing of it', running([{ type: 'Ready', status: 'True' }])],
  ['whose instance says it too', running([{ type: 'NotCarriedOut', status: 'True', message: 'other words' }])],
] as const)
  test(`the status of a VM ${what} comes out equal when nothing has changed but the time`, () => {
    const first = vmStatus(vm, at('2026-01-01T00:00:00Z', vmi))
    assert.ok(first.conditions?.some(({ type }) => type === 'NotCarriedOut'))
    assert.deepEqual(vmStatus({ ...vm, status: first }, at('2026-01-01T00:05:00Z', vmi)), first)
  })
