import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Event } from '#apis/core/event.ts'
import { systemGroup } from '../admission/template.ts'
import { auditEntryWrite } from './audit-entry.ts'

const event = (annotations: Readonly<Record<string, string>> = {}): Event => ({
  apiVersion: 'v1',
  kind: 'Event',
  metadata: { name: 'a', namespace: 'ns', annotations },
  involvedObject: {},
})
const entry = event({ 'ovirt.patchbay.dev/code': '934' })

test('entries of the audit log are written by the system, and all other Events by whoever may', () => {
  const user = { groups: ['system:masters'] }
  const system = { groups: [systemGroup] }
  assert.equal(auditEntryWrite(user, event(), undefined), undefined)
  assert.equal(auditEntryWrite(user, event({ mine: '1' }), event()), undefined)
  assert.match(auditEntryWrite(user, entry, undefined) ?? '', /only the system/)
  // Neither to make an entry of another Event, nor to make another Event of an entry.
  assert.match(auditEntryWrite(user, entry, event()) ?? '', /only the system/)
  assert.match(auditEntryWrite(user, event(), entry) ?? '', /only the system/)
  assert.equal(auditEntryWrite(system, entry, undefined), undefined)
  assert.equal(auditEntryWrite(system, event(), entry), undefined)
})
