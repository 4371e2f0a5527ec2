import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PowerRequestRecord } from '#apis/kubevirt/guest.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { guestInfoBody } from './guest-info.ts'
import { nextRecord, powerVerdict, recordOf, withPowerRequest, withRecord } from './power-request.ts'

const now = Date.parse('2026-01-01T00:00:00Z')
const later = '2026-01-01T00:00:10Z'
const connected = { type: 'AgentConnected', status: 'True' }
const paused = { type: 'Paused', status: 'True' }

function vmi({
  phase = 'Running',
  conditions = [connected] as object[],
  acpi = undefined as boolean | undefined,
} = {}) {
  const features = acpi === undefined ? {} : { features: { acpi: { enabled: acpi } } }
  return {
    metadata: { name: 'a', uid: 'u' },
    spec: { domain: { devices: {}, ...features } },
    status: { phase, conditions },
  } as unknown as VirtualMachineInstance
}
const asked = (record?: PowerRequestRecord, expires = later) => {
  const one = withPowerRequest(vmi(), { id: '1', action: 'Reset', expires })
  return record ? { ...one, status: { ...one.status, powerRequests: [record] } } : one
}
const record = (state: PowerRequestRecord['state'], id = '1') => ({ id, action: 'Reset', state }) as const
const refused = (text: string) => ({ refuse: 'Conflict', text })
const underway = refused('unable to complete request: reset or soft reboot already underway')

// facts/kubevirt.md §5.2
for (const [what, verdict, expected] of [
  ['reset', powerVerdict(vmi(), 'Reset', now), {}],
  ['reset what does not run', powerVerdict(vmi({ phase: 'Scheduled' }), 'Reset', now), refused('VMI is not running')],
  ['reset what is paused', powerVerdict(vmi({ conditions: [paused] }), 'Reset', now), {}],
  ['soft reboot', powerVerdict(vmi(), 'SoftReboot', now), {}],
  ['soft reboot without an agent', powerVerdict(vmi({ conditions: [] }), 'SoftReboot', now), {}],
  ['soft reboot without ACPI', powerVerdict(vmi({ acpi: false }), 'SoftReboot', now), {}],
  [
    'soft reboot without both',
    powerVerdict(vmi({ conditions: [], acpi: false }), 'SoftReboot', now),
    refused('VMI neither have the agent connected nor the ACPI feature enabled'),
  ],
  [
    'soft reboot what does not run',
    powerVerdict(vmi({ phase: 'Succeeded' }), 'SoftReboot', now),
    refused('VM is not running'),
  ],
  [
    'soft reboot what is paused',
    powerVerdict(vmi({ conditions: [paused] }), 'SoftReboot', now),
    refused('VMI is paused'),
  ],
  ['reset while somebody else does', powerVerdict(asked(), 'Reset', now), underway],
  ['reset while it is being reset', powerVerdict(asked(record('Begun')), 'Reset', now), underway],
  ['reset again', powerVerdict(asked(record('Done')), 'Reset', now), {}],
  ['reset after a request nobody heard', powerVerdict(asked(undefined, '2025-12-31T00:00:00Z'), 'Reset', now), {}],
] as const)
  test(`verb: ${what}`, () => assert.deepEqual(verdict, expected))

for (const [what, found, expected] of [
  ['none', nextRecord(vmi(), now), undefined],
  ['a new one is begun', nextRecord(asked(), now), record('Begun')],
  ['one after another is begun', nextRecord(asked(record('Done', '0')), now), record('Begun')],
  ['one that expired is not', nextRecord(asked(undefined, '2025-12-31T00:00:00Z'), now), record('Expired')],
  ['one that somebody began and nobody ended is left', nextRecord(asked(record('Begun')), now), record('Unknown')],
  ['one that was done is done', nextRecord(asked(record('Done')), now), undefined],
  ['one whose end is unknown is not tried again', nextRecord(asked(record('Unknown')), now), undefined],
] as const)
  test(`request of a guest: ${what}`, () => assert.deepEqual(found, expected))

test('a request that makes no sense is none', () => {
  for (const text of ['', 'x', '{}', '{"id":"1","action":"Explode","expires":"x"}', 'null']) {
    const one = vmi()
    const annotations = { 'vmi.patchbay.dev/power-request': text }
    assert.equal(nextRecord({ ...one, metadata: { ...one.metadata, annotations } }, now), undefined, text)
  }
})

test('what a guest tells of itself has KubeVirt’s shape, and needs its agent', () => {
  const status = {
    ...vmi().status,
    guestOSInfo: { id: 'debian' },
    guestAgent: { version: '7', hostname: 'h', timezone: 'UTC, 0' },
  }
  assert.deepEqual(guestInfoBody({ ...vmi(), status } as VirtualMachineInstance), {
    body: { guestAgentVersion: '7', hostname: 'h', os: { id: 'debian' }, timezone: 'UTC, 0' },
  })
  assert.deepEqual(guestInfoBody(vmi({ conditions: [] })), { refuse: 'VMI does not have guest agent connected' })
  assert.deepEqual(guestInfoBody(vmi({ phase: 'Scheduled' })), { refuse: 'VMI is not running' })
})

test('a record takes the place of the one before, and the oldest is forgotten', () => {
  let one = vmi()
  for (let id = 0; id < 9; id++)
    for (const state of ['Begun', 'Done'] as const) one = withRecord(one, record(state, String(id)))
  assert.deepEqual(
    one.status?.powerRequests?.map(({ id, state }) => `${id} ${state}`),
    ['1 Done', '2 Done', '3 Done', '4 Done', '5 Done', '6 Done', '7 Done', '8 Done'],
  )
  assert.deepEqual([recordOf(one, '8'), recordOf(one, '0')], [record('Done', '8'), undefined])
})
