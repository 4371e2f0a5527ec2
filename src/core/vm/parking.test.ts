import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import {
  parkAnnotation,
  parkedErrors,
  parkedLink,
  parkedLinksAnnotation,
  withParkedLink,
  withParkedLinks,
} from './parking.ts'

type State = 'up' | 'down' | 'linkDown' | 'absent' | undefined

/** A VM with an interface for each state, and the annotation's text. */
const vm = (states: Readonly<Record<string, State>>, links?: string, isParking = true): VirtualMachine =>
  ({
    metadata: {
      name: 'a',
      annotations: {
        ...(isParking && { [parkAnnotation]: 'true' }),
        ...(links !== undefined && { [parkedLinksAnnotation]: links }),
      },
    },
    spec: {
      template: {
        spec: {
          domain: {
            devices: {
              interfaces: Object.entries(states).map(([name, state]) => ({
                ...{ name, bridge: {} },
                ...(state !== undefined && { state }),
              })),
            },
          },
        },
      },
    },
  }) as unknown as VirtualMachine

const linksOf = ({ metadata }: VirtualMachine) => metadata.annotations?.[parkedLinksAnnotation]
const statesOf = ({ spec }: VirtualMachine) =>
  (spec.template.spec.domain.devices.interfaces ?? []).map(({ name, state }) => `${name} ${state ?? 'unset'}`).join()

const down = '{"red":"down"}'
const cases: readonly [
  what: string,
  old: VirtualMachine | undefined,
  now: VirtualMachine,
  links: string | undefined,
  states: string,
][] = [
  ['a link that is down is remembered', vm({ red: 'down' }), vm({ red: 'absent' }), down, 'red absent'],
  ['in the other spelling too', vm({ red: 'linkDown' }), vm({ red: 'absent' }), down, 'red absent'],
  ['one that is up is not', vm({ red: undefined }), vm({ red: 'absent' }), undefined, 'red absent'],
  ['nor without parking', vm({ red: 'down' }), vm({ red: 'absent' }, undefined, false), undefined, 'red absent'],
  ['parking may begin with it', vm({ red: 'down' }, undefined, false), vm({ red: 'absent' }), down, 'red absent'],
  ['it comes back as it was', vm({ red: 'absent' }, down), vm({ red: undefined }, down), undefined, 'red down'],
  ['also to who knows nothing of it', vm({ red: 'absent' }, down), vm({ red: undefined }), undefined, 'red down'],
  [
    'and to who replaces all annotations',
    vm({ red: 'absent' }, down),
    vm({ red: undefined }, undefined, false),
    undefined,
    'red down',
  ],
  ['unless a state is declared', vm({ red: 'absent' }, down), vm({ red: 'up' }, down), undefined, 'red up'],
  ['or the owner has changed it', vm({ red: 'absent' }, '{}'), vm({ red: undefined }, '{}'), undefined, 'red unset'],
  ['even in that write', vm({ red: 'absent' }, down), vm({ red: undefined }, '{"red":"up"}'), undefined, 'red unset'],
  ['it is changed while it is parked', vm({ red: 'absent' }), vm({ red: 'absent' }, down), down, 'red absent'],
  ['and back', vm({ red: 'absent' }, down), vm({ red: 'absent' }), undefined, 'red absent'],
  ['a link given with the parking counts', vm({ red: 'up' }), vm({ red: 'absent' }, down), down, 'red absent'],
  ['be it up', vm({ red: 'down' }), vm({ red: 'absent' }, '{"red":"up"}'), undefined, 'red absent'],
  ['what is gone is forgotten', vm({ red: 'absent' }, down), vm({}, down), undefined, ''],
  ['what is there has none', undefined, vm({ red: 'up' }, down), undefined, 'red up'],
  ['a new VM may have it', undefined, vm({ red: 'absent' }, down), down, 'red absent'],
  [
    'the owner’s spelling stays',
    undefined,
    vm({ red: 'absent' }, '{ "red": "down" }'),
    '{ "red": "down" }',
    'red absent',
  ],
  [
    'each is on its own',
    vm({ red: 'absent', blue: 'down', green: 'down' }, down),
    vm({ red: undefined, blue: 'absent', green: 'down' }, down),
    '{"blue":"down"}',
    'red down,blue absent,green down',
  ],
]
for (const [what, old, now, links, states] of cases)
  test(`the link of a parked interface: ${what}`, () => {
    const after = withParkedLinks(now, old)
    assert.deepEqual([linksOf(after), statesOf(after)], [links, states])
    // That an owner said up is used up by the write it was said in.
    if (!linksOf(now)?.includes('up')) assert.deepEqual(withParkedLinks(after, old), after, 'done twice is done once')
    assert.deepEqual(withParkedLinks(after, after), after, 'it stays so')
  })

test('any way through states ends with the link that was declared last before the interface was parked', () => {
  const states = ['up', 'down', undefined, 'absent'] as const
  let ways = 0
  for (const first of states)
    for (const second of states)
      for (const third of states)
        for (const fourth of states) {
          const way = [first, second, third, fourth, 'absent', undefined] as const
          let now = withParkedLinks(vm({ red: first }), undefined)
          let link: State = first === 'absent' ? undefined : first
          for (const state of way.slice(1)) {
            const was = statesOf(now)
            now = withParkedLinks(vm({ red: state }, linksOf(now)), now)
            if (state !== 'absent' && !(state === undefined && was === 'red absent')) link = state
          }
          assert.equal(statesOf(now), link === 'down' ? 'red down' : 'red unset', way.join())
          assert.equal(linksOf(now), undefined)
          ways++
        }
  assert.equal(ways, 256)
})

test('what cannot be read is refused with its field, left as it is, and prevents nothing else', () => {
  for (const text of ['', 'down', '[]', 'null', '{"red":"gone"}', '{"red":{}}', '{"red":1}']) {
    const bad = vm({ red: 'absent' }, text)
    const [error, ...others] = parkedErrors(bad, undefined)
    assert.deepEqual([error?.field, others], [`metadata.annotations[${parkedLinksAnnotation}]`, []], text)
    assert.match(error?.message ?? '', /has to be a JSON object with "up" or "down" .* like \{"red":"down"\}$/)
    assert.equal(withParkedLinks(bad, vm({ red: 'down' })), bad)
    assert.deepEqual(parkedErrors(bad, bad), [])
    assert.equal(parkedLink(bad, 'red'), 'up')
  }
  assert.deepEqual(parkedErrors(vm({}, '{}'), undefined), [])
  const odd = { ...vm({}), spec: { template: { spec: { domain: { devices: { interfaces: ['x'] } } } } } }
  assert.equal(withParkedLinks(odd as unknown as VirtualMachine, undefined), odd)
})

test('clients read and write it without knowing how it is kept', () => {
  const parked = vm({ red: 'absent', blue: 'absent' }, down)
  assert.deepEqual(
    ['red', 'blue', 'none'].map((name) => parkedLink(parked, name)),
    ['down', 'up', 'up'],
  )
  const raised = { ...parked, metadata: withParkedLink(parked.metadata, 'red', 'up') }
  assert.equal(linksOf(withParkedLinks(raised, parked)), undefined)
  const both = { ...parked, metadata: withParkedLink(parked.metadata, 'blue', 'down') }
  assert.equal(linksOf(withParkedLinks(both, parked)), '{"red":"down","blue":"down"}')
})
