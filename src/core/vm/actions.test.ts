import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Stored } from '#apis/meta/object.ts'
import {
  migrateVerdict,
  pauseVerdict,
  restartVerdict,
  startVerdict,
  stopVerdict,
  unpauseVerdict,
  withRuns,
} from './actions.ts'

const vm = (spec: object, status: object = {}) =>
  ({ metadata: { name: 'a' }, spec: { template: {}, ...spec }, status }) as unknown as VirtualMachine
const vmi = (phase: string, { conditions = [] as object[], spec = {} } = {}) =>
  ({
    metadata: { name: 'a', uid: 'u' },
    spec,
    status: { phase, conditions },
  }) as unknown as Stored<VirtualMachineInstance>
const running = vmi('Running')
const refused = (text: string, refuse = 'Conflict') => ({ refuse, text })
const underway = refused('unable to complete request: stop/start already underway')
const by = (runStrategy: string, requests: object[] = []) => vm({ runStrategy }, { stateChangeRequests: requests })

// facts/kubevirt.md §5.2
for (const [what, verdict, expected] of [
  [
    'start Always',
    startVerdict(by('Always'), undefined, false),
    refused('Always does not support manual start requests'),
  ],
  ['start Once', startVerdict(by('Once'), undefined, false), refused('Once does not support manual start requests')],
  ['start what runs', startVerdict(by('Manual'), running, false), refused('VM is already running')],
  ['start Halted', startVerdict(by('Halted'), undefined, false), { runs: true }],
  ['start running: false', startVerdict(vm({ running: false }), undefined, false), { runs: true }],
  ['start Manual', startVerdict(by('Manual'), undefined, false), { requests: [{ action: 'Start' }] }],
  [
    'start Manual after its guest shut down',
    startVerdict(by('Manual'), vmi('Succeeded'), false),
    { requests: [{ action: 'Start' }] },
  ],
  [
    'start Manual paused',
    startVerdict(by('Manual'), undefined, true),
    { requests: [{ action: 'Start', data: { paused: 'true' } }] },
  ],
  [
    'start Halted paused',
    startVerdict(by('Halted'), undefined, true),
    { runs: true, requests: [{ action: 'Start', data: { paused: 'true' } }] },
  ],
  [
    'start RerunOnFailure',
    startVerdict(by('RerunOnFailure'), vmi('Succeeded'), false),
    { requests: [{ action: 'Start' }] },
  ],
  [
    'start RerunOnFailure after a failure',
    startVerdict(by('RerunOnFailure'), vmi('Failed'), false),
    refused('RerunOnFailure does not support starting VM from failed state'),
  ],
  ['start twice', startVerdict(by('Manual', [{ action: 'Start' }]), undefined, false), underway],
  ['stop Always', stopVerdict(by('Always'), running, undefined), { runs: false }],
  ['stop Once by force', stopVerdict(by('Once'), running, 0), { runs: false, graceSeconds: 0 }],
  ['stop Manual', stopVerdict(by('Manual'), running, undefined), { requests: [{ action: 'Stop', uid: 'u' }] }],
  ['stop Manual that is stopped', stopVerdict(by('Manual'), undefined, undefined), refused('VM is not running')],
  ['stop Manual that has ended', stopVerdict(by('Manual'), vmi('Succeeded'), undefined), refused('VM is not running')],
  ['stop twice', stopVerdict(by('Manual', [{ action: 'Stop' }]), running, undefined), underway],
  ['stop Halted that is stopped', stopVerdict(by('Halted'), undefined, undefined), refused('VM is not running')],
  [
    'stop Halted again',
    stopVerdict(by('Halted'), running, undefined),
    refused('Halted only supports manual stop requests with a shorter graceperiod'),
  ],
  [
    'stop Halted with as much time',
    stopVerdict(by('Halted'), vmi('Running', { spec: { terminationGracePeriodSeconds: 5 } }), 5),
    refused('Halted only supports manual stop requests with a shorter graceperiod'),
  ],
  [
    'stop Halted with less time',
    stopVerdict(by('Halted'), vmi('Running', { spec: { terminationGracePeriodSeconds: 5 } }), 1),
    { graceSeconds: 1 },
  ],
  [
    'stop with negative time',
    stopVerdict(by('Always'), running, -1),
    refused('gracePeriod has to be greater or equal to 0', 'BadRequest'),
  ],
  [
    'restart Always',
    restartVerdict(by('Always'), running, undefined),
    { requests: [{ action: 'Stop', uid: 'u' }, { action: 'Start' }] },
  ],
  [
    'restart by force',
    restartVerdict(by('Always'), running, 0),
    { requests: [{ action: 'Stop', uid: 'u' }, { action: 'Start' }], graceSeconds: 0 },
  ],
  [
    'restart with some time',
    restartVerdict(by('Always'), running, 5),
    refused('For force restart, only gracePeriod=0 is supported for now', 'BadRequest'),
  ],
  [
    'restart with negative time',
    restartVerdict(by('Always'), running, -1),
    refused('gracePeriod has to be greater or equal to 0', 'BadRequest'),
  ],
  [
    'restart Halted',
    restartVerdict(by('Halted'), running, undefined),
    refused('RunStategy Halted does not support manual restart requests'),
  ],
  [
    'restart Once',
    restartVerdict(by('Once'), running, undefined),
    refused('RunStategy Once does not support manual restart requests'),
  ],
  ['restart what is stopped', restartVerdict(by('Manual'), undefined, undefined), refused('VM is not running: Manual')],
  ['pause', pauseVerdict(running), {}],
  ['pause what does not run', pauseVerdict(vmi('Scheduled')), refused('VM is not running')],
  [
    'pause twice',
    pauseVerdict(vmi('Running', { conditions: [{ type: 'Paused', status: 'True' }] })),
    refused('VMI is already paused'),
  ],
  [
    'pause with a liveness probe',
    pauseVerdict(vmi('Running', { spec: { livenessProbe: { tcpSocket: { port: 1 } } } })),
    refused('Pausing VMIs with a non-GuestAgentPing LivenessProbe is not supported', 'Forbidden'),
  ],
  ['unpause', unpauseVerdict(vmi('Running', { conditions: [{ type: 'Paused', status: 'True' }] })), {}],
  ['unpause what is not paused', unpauseVerdict(running), refused('VMI is not paused')],
  ['migrate', migrateVerdict(running), {}],
  ['migrate what does not run', migrateVerdict(vmi('Scheduling')), refused('VM is not running')],
  ['unpause what does not run', unpauseVerdict(vmi('Scheduling')), refused('VMI is not running')],
] as const)
  test(`verb: ${what}`, () => assert.deepEqual(verdict, expected))

test('a VM is told to run in the words its owner chose', () => {
  assert.deepEqual(withRuns(vm({ running: true }), false).spec, { template: {}, running: false })
  assert.deepEqual(withRuns(vm({ runStrategy: 'Always' }), false).spec, { template: {}, runStrategy: 'Halted' })
  assert.deepEqual(withRuns(vm({}), true).spec, { template: {}, runStrategy: 'Always' })
})
