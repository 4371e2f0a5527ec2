import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { Fault } from '#base/fault.ts'
import { silent } from '#base/log.ts'
import { withPowerRequest } from '#core/vm/power-request.ts'
import type { AgentContext } from './context.ts'
import { carryOutRequest } from './power-request.ts'

/** An instance that asks to be reset, behind a server whose writes can be made to fail, and a guest that counts. */
function open() {
  const world = { resets: 0, failure: undefined as Error | undefined, isServerGone: false }
  const request = { id: '1', action: 'Reset', expires: '2999-01-01T00:00:00Z' } as const
  const plain = { metadata: { name: 'a', uid: 'u' }, spec: {}, status: { phase: 'Running' } }
  let stored = withPowerRequest(plain as unknown as VirtualMachineInstance, request)
  const first = stored
  const modify = async (_kind: unknown, _key: unknown, change: (vmi: typeof stored) => typeof stored | undefined) => {
    if (world.isServerGone) throw new Fault('Unavailable', 'the server is gone')
    stored = change(stored) ?? stored
  }
  const tools = { client: { modify }, log: silent, recorder: () => undefined } as unknown as AgentContext
  const domain = {
    restart: async () => {
      world.resets++
      if (world.failure) throw world.failure
    },
  }
  const pass = (vmi = stored) => carryOutRequest(tools, vmi, domain, new AbortController().signal)
  const states = () =>
    stored.status?.powerRequests?.map(({ state, message }) => [state, message].filter(Boolean).join())
  return { world, first, pass, states }
}

test('a request is carried out once, however old the news a pass goes by', async () => {
  const { world, first, pass, states } = open()
  await pass()
  await pass()
  await pass(first)
  assert.deepEqual([world.resets, states()], [1, ['Done']])
})

test('an agent that died after it began leaves the request, and says that nobody knows', async () => {
  const { world, pass, states } = open()
  world.failure = new Fault('Aborted', 'killed')
  await assert.rejects(pass(), { kind: 'Aborted' })
  assert.deepEqual([world.resets, states()], [1, ['Begun']])
  await pass()
  await pass()
  assert.deepEqual([world.resets, states()], [1, ['Unknown']])
})

test('nothing is done that cannot be written down before', async () => {
  const { world, pass, states } = open()
  world.isServerGone = true
  await assert.rejects(pass(), { kind: 'Unavailable' })
  assert.equal(world.resets, 0)
  world.isServerGone = false
  await pass()
  assert.deepEqual([world.resets, states()], [1, ['Done']])
})

test('what the hypervisor refuses is told, and not tried again', async () => {
  const { world, pass, states } = open()
  world.failure = new Fault('Unavailable', 'no')
  await pass()
  await pass()
  assert.deepEqual([world.resets, states()], [1, ['Failed,no']])
})
