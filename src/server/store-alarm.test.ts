import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Event } from '#apis/core/event.ts'
import { Fault } from '#base/fault.ts'
import { silent } from '#base/log.ts'
import type { Client } from '#machinery/client/client.ts'
import { StoreAlarm } from './store-alarm.ts'

/** A client that keeps one Event, while it may. */
function kit() {
  const state = { problem: undefined as string | undefined, refuses: false, event: undefined as Event | undefined }
  const client = {
    get: async () => undefined,
    modify: async (_kind: unknown, _key: unknown, edit: (event: Event) => Event) => {
      if (state.event) state.event = edit(state.event)
      return state.event
    },
    create: async (_kind: unknown, event: Event) => {
      if (state.refuses) throw new Fault('Unavailable', 'full')
      state.event = event
      return event
    },
  } as unknown as Client
  const alarm = new StoreAlarm({ client, node: 'node1', problem: () => state.problem, log: silent })
  return { state, alarm, told: () => [state.event?.count, state.event?.message] }
}

const minuteMs = 60_000

test('a full store is told once, and again every quarter of an hour while it is full', async () => {
  const { state, alarm, told } = kit()
  await alarm.look(0)
  assert.deepEqual(told(), [undefined, undefined])
  state.problem = 'It is full'
  for (let minute = 0; minute < 40; minute++) await alarm.look(minute * minuteMs)
  assert.deepEqual(told(), [3, 'It is full'])
  assert.deepEqual(
    [state.event?.type, state.event?.reason, state.event?.involvedObject.name],
    ['Warning', 'StoreFull', 'node1'],
  )
  state.problem = undefined
  await alarm.look(41 * minuteMs)
  state.problem = 'It is full again'
  await alarm.look(42 * minuteMs)
  assert.deepEqual(told(), [4, 'It is full again'])
})

test('what cannot be written is kept, and told when there is room, also if it is over by then', async () => {
  const { state, alarm, told } = kit()
  Object.assign(state, { problem: 'It is full', refuses: true })
  await alarm.look(0)
  await alarm.look(minuteMs)
  Object.assign(state, { problem: undefined, refuses: false })
  await alarm.look(2 * minuteMs)
  assert.deepEqual(told(), [1, 'It is full'])
  await alarm.look(3 * minuteMs)
  assert.deepEqual(told(), [1, 'It is full'])
})
