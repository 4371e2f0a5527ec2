import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { ObservedDomain, SandboxState } from '../ports.ts'
import { pausedAnnotation } from '../vm/actions.ts'
import { runningStatus } from '../vm/running.ts'
import { withFailure } from './backoff.ts'
import { planGuest } from './guest.ts'
import type { Observation } from './observation.ts'
import { ioKey } from './steps.ts'

const domain: ObservedDomain = {
  ...{ state: 'paused', uuid: 'u', nics: [], agentConnected: false, ports: { total: 8, free: 8 }, isIoError: true },
}
const vmi = (paused?: string): VirtualMachineInstance => ({
  apiVersion: 'kubevirt.io/v1',
  kind: 'VirtualMachineInstance',
  metadata: { name: 'x', ...(paused !== undefined && { annotations: { [pausedAnnotation]: paused } }) },
  spec: { domain: { devices: {} } },
})

/** The plan for a guest that an I/O error paused, after so many tries to resume it, `laterMs` after the last. */
function plan(tries = 0, laterMs = 0, of = vmi()) {
  let failures: Observation['failures'] = new Map()
  for (let i = 0; i < tries; i++)
    failures = withFailure(failures, ioKey, { depends: '', cause: new Error('io'), nowMs: 0 })
  const seen = {
    ...{ failures, nowMs: laterMs, deaf: new Set(), drift: { fresh: [], kept: [] }, requested: { unplug: new Map() } },
    isRequestDone: false,
  }
  const sandbox = { attached: new Set(), networks: new Map(), pendingCleanup: [], unmirrored: new Map() }
  return planGuest(seen as unknown as Observation, of, sandbox as unknown as SandboxState, domain)
}

test('a guest that an I/O error paused is resumed, and again later each time it is paused again', () => {
  assert.deepEqual(plan().steps, [{ do: 'resume', isRetry: true }])
  const waits = plan(3)
  assert.deepEqual([waits.steps, waits.againAfterMs], [[], 1000])
  assert.deepEqual(plan(3, 1000).steps, [{ do: 'resume', isRetry: true }])
  assert.equal(plan(20).againAfterMs, 10_000)
})

test('one that its owner wants paused stays so', () => assert.deepEqual(plan(0, 0, vmi('true')).steps, []))

test('the instance says that it was no user who paused it', () => {
  const pass = {
    podIps: new Map(),
    attached: new Set<string>(),
    drift: [],
    volumes: new Map(),
    now: '2026-01-01T00:00:00Z',
  }
  const nothing = {
    end: undefined,
    guest: undefined,
    info: undefined,
    syncFailure: undefined,
    credentials: undefined,
    readiness: undefined,
  }
  const paused = (one: ObservedDomain) =>
    runningStatus(vmi(), { ...pass, ...nothing, domain: one }).conditions?.find(({ type }) => type === 'Paused')
  assert.deepEqual(
    [paused(domain)?.reason, paused(domain)?.message],
    ['PausedIOError', 'VMI was paused, low-level IO error detected'],
  )
  const { isIoError: _, ...byUser } = domain
  assert.equal(paused(byUser)?.reason, 'PausedByUser')
})
