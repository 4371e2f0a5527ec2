import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Event } from '#apis/core/event.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Kind } from '#apis/meta/object.ts'
import type { JsonObject } from '#base/json.ts'
import { Widget } from '#kit/machinery/rest/rest-kit.ts'
import type { Doc } from './doc.ts'
import { age, tableOf } from './table.ts'

const [second, minute, hour, day, year] = [1000, 60_000, 3_600_000, 86_400_000, 365 * 86_400_000]

// The table of k8s.io/apimachinery/pkg/util/duration: HumanDuration.
const ages: readonly [ms: number, text: string][] = [
  [0, '0s'],
  [-second, '0s'],
  [-3 * second, '<invalid>'],
  [Number.NaN, '<invalid>'],
  [119 * second, '119s'],
  [2 * minute, '2m'],
  [2 * minute + second, '2m1s'],
  [9 * minute + 59 * second, '9m59s'],
  [10 * minute + 59 * second, '10m'],
  [179 * minute, '179m'],
  [3 * hour, '3h'],
  [7 * hour + 59 * minute, '7h59m'],
  [8 * hour + 59 * minute, '8h'],
  [47 * hour, '47h'],
  [2 * day, '2d'],
  [7 * day + 23 * hour, '7d23h'],
  [8 * day + 23 * hour, '8d'],
  [2 * year - second, '729d'],
  [2 * year, '2y'],
  [2 * year + day, '2y1d'],
  [8 * year - second, '7y364d'],
  [8 * year + day, '8y'],
]
for (const [ms, text] of ages) test(`an age of ${ms} ms is ${text}`, () => assert.equal(age(ms), text))

const version = 'meta.k8s.io/v1'
const now = Date.parse('2026-01-01T00:00:10Z')
const cells = (kind: Kind, doc: JsonObject) => {
  const { rows } = tableOf(kind, [doc as unknown as Doc], {}, { include: 'None', version, nowMs: now })
  return (rows as JsonObject[])[0]!.cells
}
const vmis = VirtualMachineInstance as unknown as Kind

test('cells come from paths, list items and conditions, and are empty where there is nothing', () => {
  const metadata = { name: 'x', creationTimestamp: '2026-01-01T00:00:05Z' }
  const status = {
    phase: 'Running',
    interfaces: [{ ipAddress: '10.0.0.1' }],
    conditions: [{ type: 'Ready', status: 'True' }],
  }
  assert.deepEqual(cells(vmis, { metadata, status }), ['x', '5s', 'Running', '10.0.0.1', '', 'True', '', ''])
  assert.deepEqual(cells(vmis, { metadata: { name: 'x' } }), ['x', '<unknown>', '', '', '', '', '', ''])
  assert.deepEqual(cells(vmis, { metadata, status: { conditions: 'junk', interfaces: {} } }), [
    'x',
    '5s',
    '',
    '',
    '',
    '',
    '',
    '',
  ])
})

test('a value that is no scalar is shown as JSON, and zero and false as themselves', () => {
  assert.deepEqual(cells(Widget, { metadata: { name: 'x' }, spec: { size: 0 } }), ['x', 0])
  assert.deepEqual(cells(Widget, { metadata: { name: 'x' }, spec: { size: [1, { a: 2 }] } }), ['x', '[1,{"a":2}]'])
})

test('columns that show only with -o wide have priority 1, and dates are strings', () => {
  const { columnDefinitions } = tableOf(vmis, [], {}, { include: 'None', version, nowMs: now })
  const defined = (columnDefinitions as JsonObject[]).map(({ name, type, priority }) => `${name} ${type} ${priority}`)
  assert.deepEqual(defined, [
    'Name string 0',
    'Age string 0',
    'Phase string 0',
    'IP string 0',
    'NodeName string 0',
    'Ready string 0',
    'Live-Migratable string 1',
    'Paused string 1',
  ])
})

test('a kind that shows its name itself has no second name column', () => {
  const { columnDefinitions } = tableOf(Event as unknown as Kind, [], {}, { include: 'None', version, nowMs: now })
  assert.deepEqual(
    (columnDefinitions as JsonObject[]).map(({ name }) => name),
    ['Last Seen', 'Type', 'Reason', 'Object', 'Message', 'Name'],
  )
})

for (const [include, object] of [
  ['None', undefined],
  ['Metadata', { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: { name: 'x' } }],
  ['Object', { metadata: { name: 'x' }, spec: {} }],
] as const)
  test(`includeObject=${include} carries along that much`, () => {
    const { rows } = tableOf(
      Widget,
      [{ metadata: { name: 'x' }, spec: {} } as unknown as Doc],
      {},
      { include, version, nowMs: now },
    )
    assert.deepEqual((rows as JsonObject[])[0]!.object, object)
  })
