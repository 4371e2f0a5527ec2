import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Interface } from '#apis/kubevirt/interface.ts'
import type { RunStrategy, VirtualMachine, VmStatus } from '#apis/kubevirt/vm.ts'
import type { VirtualMachineInstance, VmiPhase, VmiSpec } from '#apis/kubevirt/vmi.ts'
import type { Stored } from '#apis/meta/object.ts'
import { findCondition, withCondition } from './conditions.ts'
import { domainSpec } from './domain.ts'
import { instanceOf } from './instance.ts'
import { liveUpdate } from './live.ts'
import { bytesOf } from './memory.ts'
import { backoffMs, isRequestDone, planPower } from './power.ts'
import { finalPhase, runningStatus } from './running.ts'
import { vmStatus } from './status.ts'

const now = '2026-01-01T00:00:00Z'
const later = '2026-01-01T00:00:09Z'
const nowMs = Date.parse(now)

const spec = (interfaces: readonly Interface[] = [{ name: 'default', masquerade: {} }]): VmiSpec => ({
  domain: { devices: { interfaces }, firmware: { kernelBoot: { container: { image: 'demo-guest' } } } },
  networks: interfaces.map(({ name, masquerade }) =>
    masquerade ? { name, pod: {} } : { name, multus: { networkName: name } },
  ),
})

const vm = (
  runStrategy: RunStrategy,
  status: VmStatus = {},
  over: Partial<VirtualMachine['metadata']> = {},
): VirtualMachine => ({
  apiVersion: 'kubevirt.io/v1',
  kind: 'VirtualMachine',
  metadata: { name: 'x', namespace: 'ns', uid: 'vm-uid', generation: 3, ...over },
  spec: { runStrategy, template: { spec: spec() } },
  status,
})

const vmi = (
  phase: VmiPhase,
  over: Partial<Stored<VirtualMachineInstance>['metadata']> = {},
): Stored<VirtualMachineInstance> => ({
  apiVersion: 'kubevirt.io/v1',
  kind: 'VirtualMachineInstance',
  metadata: { name: 'x', namespace: 'ns', uid: 'vmi-uid', resourceVersion: '1', creationTimestamp: now, ...over },
  spec: spec(),
  status: { phase },
})

const power: readonly [strategy: RunStrategy, instance: VmiPhase | undefined, wanted: 'start' | 'stop' | 'nothing'][] =
  [
    ['Always', undefined, 'start'],
    ['Always', 'Running', 'nothing'],
    ['Always', 'Succeeded', 'stop'],
    ['Always', 'Failed', 'stop'],
    ['Halted', undefined, 'nothing'],
    ['Halted', 'Running', 'stop'],
    ['Halted', 'Succeeded', 'stop'],
    ['Manual', undefined, 'nothing'],
    ['Manual', 'Running', 'nothing'],
    ['Manual', 'Succeeded', 'nothing'],
    ['Manual', 'Failed', 'nothing'],
    ['RerunOnFailure', undefined, 'start'],
    ['RerunOnFailure', 'Failed', 'stop'],
    ['RerunOnFailure', 'Succeeded', 'nothing'],
    ['Once', undefined, 'start'],
    ['Once', 'Failed', 'nothing'],
  ]
for (const [strategy, phase, wanted] of power)
  test(`${strategy} with ${phase ? `an instance that is ${phase}` : 'no instance'} does ${wanted}`, () => {
    assert.equal(planPower(vm(strategy), phase && vmi(phase), nowMs).do, wanted)
  })

test('Once never starts a second time', () => {
  assert.equal(planPower(vm('Once', { created: false }), undefined, nowMs).do, 'nothing')
})

test('an instance on its way out is left alone', () => {
  assert.equal(planPower(vm('Halted'), vmi('Running', { deletionTimestamp: now }), nowMs).do, 'nothing')
})

test('a deleted VM stops its instance whatever its strategy', () => {
  const deleted = vm('Always', {}, { deletionTimestamp: now })
  assert.equal(planPower(deleted, vmi('Running'), nowMs).do, 'stop')
  assert.equal(planPower(deleted, undefined, nowMs).do, 'nothing')
})

test('a Manual VM starts and stops on request, and a request is done once', () => {
  const start = vm('Manual', { stateChangeRequests: [{ action: 'Start' }] })
  assert.equal(planPower(start, undefined, nowMs).do, 'start')
  assert.equal(isRequestDone(start, undefined), false)
  assert.equal(planPower(start, vmi('Succeeded'), nowMs).do, 'stop', 'the ended instance makes room first')
  assert.equal(isRequestDone(start, vmi('Running')), true)
  const stop = vm('Manual', { stateChangeRequests: [{ action: 'Stop', uid: 'vmi-uid' }] })
  assert.equal(planPower(stop, vmi('Running'), nowMs).do, 'stop')
  assert.equal(
    planPower(stop, vmi('Running', { uid: 'another' }), nowMs).do,
    'nothing',
    'the request was for another instance',
  )
  assert.equal(isRequestDone(stop, undefined), true)
  const restart = vm('Manual', { stateChangeRequests: [{ action: 'Stop', uid: 'vmi-uid' }, { action: 'Start' }] })
  const status = vmStatus(restart, { vmi: undefined, restartRequired: false, nowMs, now })
  assert.deepEqual(status.stateChangeRequests, [{ action: 'Start' }], 'the stop is done, the start is still to come')
})

test('starts that fail are spaced out: 10 s, doubling, at most 5 minutes', () => {
  assert.deepEqual(
    [1, 2, 3, 4, 5, 6, 20].map(backoffMs),
    [10, 20, 40, 80, 160, 300, 300].map((s) => s * 1000),
  )
  const failed = vmi('Failed')
  const first = vmStatus(vm('Always'), { vmi: failed, restartRequired: false, nowMs, now })
  assert.equal(first.startFailure?.consecutiveFailCount, 1)
  const same = vmStatus(vm('Always', first), { vmi: failed, restartRequired: false, nowMs: nowMs + 1000, now: later })
  assert.deepEqual(same.startFailure, first.startFailure, 'one failed instance counts once')
  const waiting = vm('Always', first)
  assert.deepEqual(planPower(waiting, undefined, nowMs + 4000), { do: 'nothing', againAfterMs: 6000 })
  assert.equal(planPower(waiting, undefined, nowMs + 10_000).do, 'start')
  assert.equal(
    vmStatus(waiting, { vmi: undefined, restartRequired: false, nowMs, now }).printableStatus,
    'CrashLoopBackOff',
  )
  assert.equal(vmStatus(waiting, { vmi: vmi('Running'), restartRequired: false, nowMs, now }).startFailure, undefined)
})

test('an instance that ran before it failed is restarted at once', () => {
  const ran: Stored<VirtualMachineInstance> = {
    ...vmi('Failed'),
    status: { phase: 'Failed', phaseTransitionTimestamps: [{ phase: 'Running', phaseTransitionTimestamp: now }] },
  }
  assert.equal(vmStatus(vm('Always'), { vmi: ran, restartRequired: false, nowMs, now }).startFailure, undefined)
})

test('computing a status twice changes nothing', () => {
  const seen = { vmi: vmi('Running'), restartRequired: true, nowMs, now }
  const once = vmStatus(vm('Always'), seen)
  assert.deepEqual(vmStatus(vm('Always', once), { ...seen, now: later, nowMs: nowMs + 9000 }), once)
})

test('conditions of the instance are mirrored, Ready and RestartRequired have words of their own', () => {
  const running: Stored<VirtualMachineInstance> = {
    ...vmi('Running'),
    status: {
      phase: 'Running',
      conditions: [
        { type: 'Ready', status: 'True' },
        { type: 'AgentConnected', status: 'True' },
        { type: 'RestartRequired', status: 'True' },
      ],
    },
  }
  const status = vmStatus(vm('Always'), { vmi: running, restartRequired: false, nowMs, now })
  assert.deepEqual(
    status.conditions?.map(({ type, status: value }) => `${type}=${value}`),
    ['Ready=True', 'AgentConnected=True'],
  )
  assert.equal(status.ready, true)
  const restart = vmStatus(vm('Always', status), { vmi: running, restartRequired: true, nowMs, now })
  assert.equal(
    findCondition(restart.conditions, 'RestartRequired')?.message,
    'a non-live-updatable field was changed in the template spec',
  )
  const gone = vmStatus(vm('Always', restart), { vmi: undefined, restartRequired: false, nowMs, now })
  assert.deepEqual(
    gone.conditions?.map(({ type, status: value, reason }) => `${type}=${value} ${reason}`),
    ['Ready=False VMINotExists'],
  )
})

const two = (blue: Partial<Interface> = {}): Interface[] => [
  { name: 'default', masquerade: {} },
  { name: 'blue', bridge: {}, ...blue },
]

// facts/kubevirt.md §2.5 and restart_test: all transitions of link state are live.
for (const from of ['', 'up', 'down', undefined])
  for (const to of ['', 'up', 'down', undefined]) {
    const state = (value: string | undefined) => (value === undefined ? {} : { state: value })
    test(`state ${from ?? 'unset'} to ${to ?? 'unset'} needs no restart`, () => {
      const update = liveUpdate(spec(two(state(to))), { spec: spec(two(state(from))) }, 'ns')
      assert.equal(update.restartRequired, false)
      const changes = (from === 'down') !== (to === 'down')
      assert.equal(update.spec !== undefined, changes)
      if (update.spec) assert.equal(update.spec.domain.devices.interfaces?.[1]?.state, to)
    })
  }

test('a state that is declared on no network reaches the instance, although no link changes', () => {
  const off = (state: string): VmiSpec => ({
    ...spec(two({ state })),
    networks: [
      { name: 'default', pod: {} },
      { name: 'blue', multus: { networkName: 'patchbay-none' } },
    ],
  })
  const update = liveUpdate(off('down'), { spec: off('up') }, 'ns')
  assert.deepEqual([update.restartRequired, update.spec], [false, off('down')])
  assert.equal(liveUpdate(off('down'), { spec: off('down') }, 'ns').spec, undefined)
})

const restarts: readonly [what: string, template: VmiSpec][] = [
  ['another model', spec(two({ model: 'e1000e' }))],
  ['another MAC', spec(two({ macAddress: '02:00:00:00:00:99' }))],
  ['a removed interface', spec([{ name: 'default', masquerade: {} }])],
  ['more memory', { ...spec(two()), domain: { ...spec(two()).domain, memory: { guest: '1Gi' } } }],
]
for (const [what, template] of restarts)
  test(`${what} needs a restart and leaves the instance alone`, () => {
    const update = liveUpdate(template, { spec: spec(two()) }, 'ns')
    assert.deepEqual([update.restartRequired, update.spec], [true, undefined])
  })

test('the order of interfaces and networks means nothing', () => {
  const base = spec(two())
  const turned: VmiSpec = {
    ...base,
    domain: { ...base.domain, devices: { interfaces: two().toReversed() } },
    networks: base.networks?.toReversed() ?? [],
  }
  assert.deepEqual(liveUpdate(turned, { spec: base }, 'ns'), { restartRequired: false })
})

test('an instance is owned by its VM and kept until its guest is gone', () => {
  const made = instanceOf(vm('Always'))
  assert.equal(made.metadata.name, 'x')
  assert.deepEqual(
    made.metadata.ownerReferences?.map(({ uid, controller }) => ({ uid, controller })),
    [{ uid: 'vm-uid', controller: true }],
  )
  assert.deepEqual(made.metadata.finalizers, ['foregroundDeleteVirtualMachine'])
})

test('a condition keeps its transition time until its status changes', () => {
  const first = withCondition([], { type: 'Ready', status: 'False', reason: 'A' }, now)
  const same = withCondition(first, { type: 'Ready', status: 'False', reason: 'B' }, later)
  assert.equal(same[0]?.lastTransitionTime, now)
  assert.equal(withCondition(same, { type: 'Ready', status: 'True' }, later)[0]?.lastTransitionTime, later)
})

for (const [text, bytes] of [
  ['128Mi', 2 ** 27],
  ['1Gi', 2 ** 30],
  ['1G', 1e9],
  ['512', 512],
  ['1.5Gi', 1.5 * 2 ** 30],
  ['x', undefined],
  ['', undefined],
  ['1Zi', undefined],
] as const)
  test(`the quantity "${text}" is ${bytes} bytes`, () => assert.equal(bytesOf(text), bytes))

test('what cannot be booted is said in a sentence with a remedy', () => {
  const nothing = domainSpec({ ...vmi('Scheduled'), spec: { domain: { devices: {} } } })
  assert.match('problem' in nothing ? nothing.problem : '', /patchbay image import/)
  const memory = domainSpec({
    ...vmi('Scheduled'),
    spec: { ...spec(), domain: { ...spec().domain, memory: { guest: 'much' } } },
  })
  assert.match('problem' in memory ? memory.problem : '', /"much".*256Mi/)
})

test('a guest that was told to go succeeded, one that crashed failed', () => {
  assert.equal(finalPhase('shutdown', false), 'Succeeded')
  assert.equal(finalPhase('destroyed', true), 'Succeeded')
  assert.equal(finalPhase('destroyed', false), 'Failed')
  assert.equal(finalPhase('crashed', true), 'Failed')
})

const noPass = {
  domain: undefined,
  end: undefined,
  guest: undefined,
  info: undefined,
  podIps: new Map(),
  attached: new Set<string>(),
  drift: [],
  volumes: new Map(),
  credentials: undefined,
  readiness: undefined,
  now,
}

test('trouble is a condition while it lasts, and no longer', () => {
  const bad = runningStatus(vmi('Scheduled'), { ...noPass, syncFailure: { reason: 'R', message: 'M' } })
  assert.deepEqual(findCondition(bad.conditions, 'Synchronized'), {
    type: 'Synchronized',
    status: 'False',
    reason: 'R',
    message: 'M',
    lastTransitionTime: now,
  })
  const good = runningStatus({ ...vmi('Scheduled'), status: bad }, { ...noPass, syncFailure: undefined })
  assert.equal(findCondition(good.conditions, 'Synchronized'), undefined)
})

test('what a guest tells of itself stays while its agent is there, and its ports while it runs', () => {
  const info = { os: { id: 'debian' }, agent: { hostname: 'h' } }
  const domain = { state: 'running', uuid: '', nics: [], agentConnected: true, ports: { total: 8, free: 5 } } as const
  const after = (status: object, pass: object) =>
    runningStatus(
      { ...vmi('Running'), status: { ...vmi('Running').status, ...status } },
      {
        ...noPass,
        syncFailure: undefined,
        ...pass,
      },
    )
  const told = ({ guestOSInfo, guestAgent, pciPorts }: ReturnType<typeof after>) => [guestOSInfo, guestAgent, pciPorts]
  const first = after({}, { domain, info })
  assert.deepEqual(told(first), [info.os, info.agent, domain.ports])
  assert.deepEqual(after(first, { domain, info }), first)
  // An agent of the node that has just started has not asked yet.
  assert.deepEqual(told(after(first, { domain })), [info.os, info.agent, domain.ports])
  const silent = after(first, { domain: { ...domain, agentConnected: false }, info })
  assert.deepEqual(told(silent), [undefined, undefined, domain.ports])
  assert.deepEqual(told(after(first, { end: 'shutdown', info })), [undefined, undefined, undefined])
})
