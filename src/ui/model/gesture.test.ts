import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { Stored } from '#apis/meta/object.ts'
import { freeName, type Gesture, inverseOf, networkNameFor, patchOf } from './gesture.ts'

const vm: Stored<VirtualMachine> = {
  apiVersion: 'kubevirt.io/v1',
  kind: 'VirtualMachine',
  metadata: { name: 'x', namespace: 'ns', uid: 'u', resourceVersion: '1', generation: 7, creationTimestamp: '' },
  spec: {
    template: {
      spec: {
        domain: {
          devices: {
            interfaces: [
              { name: 'a', bridge: {}, macAddress: '02:00:00:00:00:01' },
              { name: 'b', bridge: {}, state: 'down' },
            ],
          },
        },
        networks: [
          { name: 'a', multus: { networkName: 'red' } },
          { name: 'b', multus: { networkName: 'blue' } },
        ],
      },
    },
  },
}

const operations = (gesture: Gesture, isRunning = true) => {
  const patch = patchOf(gesture, vm, isRunning)
  return 'operations' in patch ? patch.operations : patch.refusal
}

test('pulling a cable changes one field, and tests the interface that it was decided by', () => {
  assert.deepEqual(operations({ do: 'link', nic: 'a', link: 'down' }), [
    {
      op: 'test',
      path: '/spec/template/spec/domain/devices/interfaces/0',
      value: { name: 'a', bridge: {}, macAddress: '02:00:00:00:00:01' },
    },
    { op: 'add', path: '/spec/template/spec/domain/devices/interfaces/0/state', value: 'down' },
  ])
  assert.deepEqual(operations({ do: 'link', nic: 'b', link: 'down' }), [])
  assert.match(String(operations({ do: 'link', nic: 'c', link: 'up' })), /has no interface c; it has: a, b/)
})

test('isolating pulls what is up and notes it; rejoining puts back exactly that', () => {
  const ops = operations({ do: 'isolate' })
  assert.ok(Array.isArray(ops))
  assert.deepEqual(
    ops.map(({ op, path, value }) => [op, path.split('/').at(-1), value]),
    [
      ['test', 'generation', 7],
      ['add', 'annotations', {}],
      ['add', 'patchbay.dev~1isolated', '{"a":"up","b":"down"}'],
      ['replace', 'interfaces', ops.at(-1)?.value],
    ],
  )
  assert.deepEqual(
    (Object(ops.at(-1)).value as { state?: string }[]).map(({ state }) => state),
    ['down', 'down'],
  )
  assert.deepEqual(operations({ do: 'rejoin' }), [])
})

test('every gesture has one that takes it back', () => {
  const card = { name: 'c', network: 'red' }
  const cases: readonly (readonly [Gesture, Gesture])[] = [
    [
      { do: 'link', nic: 'a', link: 'down' },
      { do: 'link', nic: 'a', link: 'up' },
    ],
    [
      { do: 'rewire', nic: 'a', network: 'blue' },
      { do: 'rewire', nic: 'a', network: 'red' },
    ],
    [
      { do: 'unplug', nic: 'a' },
      { do: 'plug', card: { name: 'a', network: 'red', mac: '02:00:00:00:00:01', link: 'up' } },
    ],
    [
      { do: 'plug', card },
      { do: 'unplug', nic: 'c' },
    ],
    [{ do: 'isolate' }, { do: 'rejoin' }],
  ]
  for (const [gesture, back] of cases) assert.deepEqual(inverseOf(gesture, vm), back)
})

test('networks are named as a template names them, and a new card by its network', () => {
  assert.deepEqual(
    ['ns/red', 'other/red', 'patchbay-none'].map((rail) => networkNameFor(rail, 'ns')),
    ['red', 'other/red', 'patchbay-none'],
  )
  assert.deepEqual(
    [freeName('ns/red', []), freeName('ns/red', ['red']), freeName('patchbay-none', [])],
    ['red', 'red-2', 'card'],
  )
})
