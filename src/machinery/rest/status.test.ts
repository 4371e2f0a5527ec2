import assert from 'node:assert/strict'
import { test } from 'node:test'
import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { FieldError, Kind } from '#apis/meta/object.ts'
import { Fault, type FaultKind } from '#base/fault.ts'
import { Widget } from '#kit/machinery/rest/rest-kit.ts'
import { alreadyExists, conflict, deleted, failure, forbidden, invalid, notFound } from './status.ts'
import { warningHeaders } from './warning.ts'

const vms = VirtualMachine as unknown as Kind

const rows: readonly [fault: Fault, code: number, reason: string, message: string][] = [
  [notFound(vms, 'x'), 404, 'NotFound', 'virtualmachines.kubevirt.io "x" not found'],
  [alreadyExists(vms, 'x'), 409, 'AlreadyExists', 'virtualmachines.kubevirt.io "x" already exists'],
  [conflict(vms, 'x', 'why'), 409, 'Conflict', 'Operation cannot be fulfilled on virtualmachines.kubevirt.io "x": why'],
  [forbidden(vms, 'x', 'why'), 403, 'Forbidden', 'virtualmachines.kubevirt.io "x" is forbidden: why'],
  [new Fault('Expired', 'too old'), 410, 'Expired', 'too old'],
]
for (const [fault, code, reason, message] of rows)
  test(`${reason} is told with code ${code} in the words of Kubernetes`, () => {
    const status = failure(fault)
    assert.deepEqual([status.kind, status.apiVersion, status.status], ['Status', 'v1', 'Failure'])
    assert.deepEqual([status.code, status.reason, status.message], [code, reason, message])
    if (reason !== 'Expired')
      assert.deepEqual(status.details, { name: 'x', group: 'kubevirt.io', kind: 'virtualmachines' })
  })

test('core kinds are named without a group', () => {
  const pods = { group: '', plural: 'pods', kind: 'Pod' }
  assert.equal(notFound(pods, 'x').message, 'pods "x" not found')
  assert.deepEqual(failure(notFound(pods, 'x')).details, { name: 'x', kind: 'pods' })
  assert.match(invalid(pods, 'x', [error(0)]).message, /^Pod "x" is invalid: /)
})

const error = (i: number) => ({ field: `spec.f${i}`, message: `wrong ${i}`, reason: 'FieldValueInvalid' }) as const

test('one error of an object is told plainly, several as a list, all of them as causes', () => {
  assert.equal(invalid(Widget, 'x', [error(0)]).message, 'Widget.example.com "x" is invalid: spec.f0: wrong 0')
  const two = failure(invalid(Widget, 'x', [error(0), error(1)]))
  assert.equal(two.message, 'Widget.example.com "x" is invalid: [spec.f0: wrong 0, spec.f1: wrong 1]')
  assert.equal(two.code, 422)
  assert.deepEqual(two.details, {
    name: 'x',
    group: 'example.com',
    kind: 'Widget',
    causes: [error(0), error(1)].map(({ field, message, reason }) => ({ reason, message, field })),
  })
})

test('a webhook’s denial has KubeVirt’s form, spells out ten causes and counts the rest', () => {
  const fault = invalid(
    vms,
    'x',
    Array.from({ length: 12 }, (_, i) => error(i)),
    'hook.io',
  )
  assert.ok(fault.message.startsWith('admission webhook "hook.io" denied the request: wrong 0, wrong 1, '))
  assert.ok(fault.message.endsWith('wrong 9, and 2 more validation errors'))
  assert.equal((failure(fault).details as { causes: unknown[] }).causes.length, 12)
})

test('the end of an object is told as a success with its uid', () => {
  const details = { name: 'x', group: 'kubevirt.io', kind: 'virtualmachines', uid: 'u' }
  assert.deepEqual(deleted('kubevirt.io', 'virtualmachines', 'x', 'u'), {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Success',
    details,
    code: 200,
  })
})

test('whatever is thrown has a code, and what is no Fault is our own', () => {
  const kinds: FaultKind[] = [
    'Invalid',
    'BadRequest',
    'NotFound',
    'AlreadyExists',
    'Conflict',
    'Expired',
    'Unauthorized',
    'Forbidden',
    'Unsupported',
    'NotAllowed',
    'TooLarge',
    'Unavailable',
    'Timeout',
    'Aborted',
    'Bug',
    'Internal',
  ]
  for (const kind of kinds) assert.ok(failure(new Fault(kind, 'x')).code >= 400)
  for (const thrown of [new TypeError('x'), 'x', undefined, null]) assert.equal(failure(thrown).code, 500)
})

test('warnings are quoted, free of control characters, and cut before clients refuse them', () => {
  assert.deepEqual(warningHeaders(['unknown field "spec.x"', 'a\\b\nc']), [
    '299 - "unknown field \\"spec.x\\""',
    '299 - "a\\\\b c"',
  ])
  assert.equal(Buffer.from(warningHeaders(['字'])[0]!, 'latin1').toString('utf8'), '299 - "字"')
  const many = warningHeaders(Array.from({ length: 10_000 }, (_, i) => `unknown field "spec.f${i}"`))
  assert.ok(many.join('').length < 5000)
  assert.match(many.at(-1)!, /^299 - "9\d+ more warnings"$/)
})

test('a Status stays below 64 KiB, however many and long the errors are, and counts what it leaves out', () => {
  const error = (i: number): FieldError => ({
    field: `f${i}${'\u0001'.repeat(5000)}`,
    message: '\u0001'.repeat(10_000),
    reason: 'FieldValueInvalid',
  })
  const long = failure(
    invalid(
      vms,
      '\u0001'.repeat(5000),
      Array.from({ length: 5000 }, (_, i) => error(i)),
    ),
  )
  assert.ok(Buffer.byteLength(JSON.stringify(long)) < 64 * 1024)
  const short: FieldError[] = Array.from({ length: 150 }, (_, i) => ({
    field: `f${i}`,
    message: 'x',
    reason: 'FieldValueInvalid',
  }))
  const { causes } = failure(invalid(vms, 'n', short)).details as { causes: { message: string }[] }
  assert.equal(causes.length, 101)
  assert.equal(causes.at(-1)?.message, 'at least 50 more errors; correct these first')
})

test('an answer has fewer warning headers than any client refuses', () => {
  const headers = warningHeaders(Array.from({ length: 200 }, (_, i) => `w${i}`))
  assert.deepEqual([headers.length, headers.at(-1)], [80, '299 - "121 more warnings"'])
})
