import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Interface } from '#apis/kubevirt/interface.ts'
import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import {
  type Change,
  declaredLink,
  isIsolated,
  isolate,
  isolatedAnnotation,
  isolationErrors,
  rejoin,
  withIsolation,
} from './isolation.ts'

type Card = Readonly<{ state?: string; sriov?: object }>

/** A VM with a card for each name, and the note's text. */
const vm = (cards: Readonly<Record<string, Card>>, note?: string): VirtualMachine =>
  ({
    metadata: { name: 'a', annotations: { other: 'x', ...(note !== undefined && { [isolatedAnnotation]: note }) } },
    spec: { template: { spec: { domain: { devices: { interfaces: interfacesOf(cards) } } } } },
  }) as unknown as VirtualMachine
const interfacesOf = (cards: Readonly<Record<string, Card>>) =>
  Object.entries(cards).map(([name, { sriov, ...card }]) => ({
    name,
    ...(sriov ? { sriov } : { bridge: {} }),
    ...card,
  }))

const up = {}
const down = { state: 'down' }
const absent = { state: 'absent' }
const noteOf = ({ metadata }: VirtualMachine) => metadata.annotations?.[isolatedAnnotation]
const statesIn = (interfaces: readonly Interface[] = []) =>
  interfaces.map(({ name, state }) => `${name} ${state ?? 'unset'}`).join()
const statesOf = ({ spec }: VirtualMachine) => statesIn(spec.template.spec.domain.devices.interfaces)
/** A VM after a change, as a merge patch makes it. */
function after(before: VirtualMachine, change: Change): VirtualMachine {
  assert.ok('patch' in change, JSON.stringify(change))
  const annotations = { ...before.metadata.annotations, ...change.patch.metadata.annotations }
  const kept = Object.fromEntries(Object.entries(annotations).filter(([, text]) => text !== null))
  const { spec } = change.patch
  const now = { ...before, metadata: { ...before.metadata, annotations: kept }, spec } as unknown as VirtualMachine
  return withIsolation(now, before)
}

test('isolating pulls every cable in one patch and notes which were up', () => {
  const before = vm({ blue: up, red: down, old: { state: 'linkDown' }, said: { state: 'up' }, gone: absent })
  const now = after(before, isolate(before))
  assert.equal(statesOf(now), 'blue down,red down,old linkDown,said down,gone absent')
  assert.equal(noteOf(now), '{"blue":"up","red":"down","old":"down","said":"up"}')
  assert.equal(now.metadata.annotations?.other, 'x')
  assert.deepEqual([isIsolated(before), isIsolated(now)], [false, true])
  const back = after(now, rejoin(now))
  assert.equal(statesOf(back), 'blue unset,red down,old linkDown,said unset,gone absent')
  assert.equal(isIsolated(back), false)
})

test('isolating twice, and rejoining what is not isolated, changes nothing and says so', () => {
  assert.deepEqual(isolate(vm({ blue: down }, '{"blue":"up"}')), { already: 'VM a is isolated already' })
  assert.deepEqual(rejoin(vm({ blue: down })), { already: 'VM a is not isolated' })
})

test('cards that cannot be cut are named, and nothing is done', () => {
  const one = isolate(vm({ blue: up, fast: { sriov: {} } }))
  assert.deepEqual(one, {
    refuse:
      'VM a cannot be isolated: interface fast cannot be cut, since the binding has no link state; stop the VM instead',
  })
  const two = isolate(vm({ fast: { sriov: {} }, faster: { sriov: {} } }))
  assert.match('refuse' in two ? two.refuse : '', /interfaces fast, faster cannot be cut.*stop the VM instead/)
})

test('rejoining leaves out what was removed since, and what is absent', () => {
  const note = '{"blue":"up","gone":"up","parked":"up","red":"down"}'
  const isolated = vm({ blue: down, parked: absent, red: { state: 'up' } }, note)
  const now = after(isolated, rejoin(isolated))
  assert.equal(statesOf(now), 'blue unset,parked absent,red down')
})

const note = '{"blue":"up"}'
const rows: readonly [
  what: string,
  old: VirtualMachine | undefined,
  now: VirtualMachine,
  states: string,
  note: string,
][] = [
  [
    'a card that comes is cut',
    vm({ blue: down }, note),
    vm({ blue: down, new: up }, note),
    'blue down,new down',
    '{"blue":"up","new":"up"}',
  ],
  [
    'one that comes with its link down keeps that',
    vm({ blue: down }, note),
    vm({ blue: down, new: down }, note),
    'blue down,new down',
    '{"blue":"up","new":"down"}',
  ],
  [
    'one that is declared up is cut all the same',
    vm({ blue: down }, note),
    vm({ blue: down, new: { state: 'up' } }, note),
    'blue down,new down',
    '{"blue":"up","new":"up"}',
  ],
  [
    'one that was parked counts as one that comes',
    vm({ blue: down, red: absent }, note),
    vm({ blue: down, red: up }, note),
    'blue down,red down',
    '{"blue":"up","red":"up"}',
  ],
  [
    'one that goes is forgotten',
    vm({ blue: down, red: down }, '{"blue":"up","red":"up"}'),
    vm({ blue: down }, '{"blue":"up","red":"up"}'),
    'blue down',
    note,
  ],
  [
    'one that is parked is forgotten',
    vm({ blue: down, red: down }, '{"blue":"up","red":"up"}'),
    vm({ blue: down, red: absent }, '{"blue":"up","red":"up"}'),
    'blue down,red absent',
    note,
  ],
  ['a manifest without states puts nothing back', vm({ blue: down }, note), vm({ blue: up }, note), 'blue down', note],
  [
    'a cable that is put back by name is',
    vm({ blue: down }, note),
    vm({ blue: { state: 'up' } }, note),
    'blue up',
    note,
  ],
  [
    'a VM may be made isolated',
    undefined,
    vm({ blue: up, red: down }, '{}'),
    'blue down,red down',
    '{"blue":"up","red":"down"}',
  ],
  [
    'and as another one was',
    undefined,
    vm({ blue: down, red: down }, note),
    'blue down,red down',
    '{"blue":"up","red":"down"}',
  ],
]
for (const [what, old, now, states, text] of rows)
  test(`admission: ${what}`, () => {
    const made = withIsolation(now, old)
    assert.equal(statesOf(made), states)
    assert.equal(noteOf(made), text)
    assert.deepEqual(withIsolation(made, made), made, 'and stays so')
  })

test('admission: what is not isolated, or has no shape yet, is left alone', () => {
  const plain = vm({ blue: up })
  assert.equal(withIsolation(plain, undefined), plain)
  for (const odd of [vm({ blue: up }, 'x'), { metadata: { annotations: { [isolatedAnnotation]: '{}' } }, spec: {} }])
    assert.equal(withIsolation(odd as unknown as VirtualMachine, undefined), odd)
})

test('admission: a note that cannot be read is refused, unless it is there already', () => {
  for (const bad of ['x', '[]', '{"blue":"sideways"}', '{"blue":1}']) {
    const [error] = isolationErrors(vm({ blue: up }, bad), undefined)
    assert.match(String(error?.message), /has to be a JSON object with "up" or "down" for each interface/)
    assert.deepEqual(isolationErrors(vm({ blue: up }, bad), vm({ blue: up }, bad)), [])
  }
  assert.deepEqual(isolationErrors(vm({ blue: up }), undefined), [])
  assert.deepEqual(isolationErrors(vm({ blue: down }, note), undefined), [])
})

test('admission: a card that cannot be cut does not come while the VM is isolated', () => {
  const now = vm({ blue: down, fast: { sriov: {} } }, note)
  const [error] = isolationErrors(now, vm({ blue: down }, note))
  assert.match(String(error?.message), /the VM is isolated, and interface fast cannot be cut/)
  assert.deepEqual(isolationErrors(now, now), [])
  assert.equal(isolationErrors(now, vm({ blue: down, fast: { sriov: {} } })).length, 1, 'nor does its note')
})

test('what the owner of a card has declared is known while it is isolated', () => {
  const isolated = vm({ blue: down }, note)
  assert.equal(declaredLink(isolated, { name: 'blue', state: 'down' }), 'up')
  assert.equal(declaredLink(isolated, { name: 'other', state: 'down' }), 'down')
  assert.equal(declaredLink(vm({ blue: up }), { name: 'blue' }), 'up')
})
