import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { Namespace } from '#apis/core/namespace.ts'
import { kinds } from '#apis/kinds.ts'
import { VirtualMachineInstanceMigration } from '#apis/kubevirt/migration.ts'
import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { type ApiObject, apiVersionOf, type Kind } from '#apis/meta/object.ts'
import { Fault } from '#base/fault.ts'
import type { JsonObject } from '#base/json.ts'
import { silent } from '#base/log.ts'
import { openMemoryStore } from '#kit/machinery/store/memory.ts'
import type { Client, Key } from '#machinery/client/client.ts'
import { makeInformer } from '#machinery/client/informer.ts'
import { LocalClient } from '#machinery/rest/local-client.ts'
import { Registry } from '#machinery/rest/registry.ts'
import { serve, type User } from '#machinery/rest/strategy.ts'
import { vmActions } from './vm-actions.ts'

const key = { namespace: 'default', name: 'a' }
const jane: User = { name: 'jane', groups: [] }

/** The verbs over a store in memory. `between` runs once, after a verb has read a VM and its instance. */
async function open(t: TestContext, between: (client: Client) => Promise<unknown> = async () => undefined) {
  const store = openMemoryStore()
  const writers: string[] = []
  const note = (kind: Kind) => (object: ApiObject, _old: unknown, user: User) => {
    writers.push(`${kind.kind} ${user.name}`)
    return object
  }
  const noted: readonly unknown[] = [VirtualMachine, VirtualMachineInstanceMigration]
  const registry = new Registry(
    store,
    kinds.map((kind) => serve(kind, noted.includes(kind) ? { prepare: note(kind) as never } : {})),
  )
  const as = (user: User) => new LocalClient(registry, { user, manager: 'test' })
  const client = as({ name: 'server', groups: [] })
  await client.create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'default' } })
  const stop = new AbortController()
  t.after(() => stop.abort())
  const vmis = makeInformer(client, VirtualMachineInstance, {}, { log: silent, signal: stop.signal })
  await vmis.synced
  let hasRaced = false
  let gets = 0
  const looking: Client = {
    get: async <T extends ApiObject>(kind: Kind<T>, at: Key) => {
      gets++
      const found = await client.get(kind, at)
      if (kind.plural === VirtualMachineInstance.plural && !hasRaced) {
        hasRaced = true
        await between(client)
      }
      return found
    },
    list: (...given) => client.list(...given),
    watch: (...given) => client.watch(...given),
    create: client.create.bind(client),
    modify: client.modify.bind(client),
    delete: (...given) => client.delete(...given),
  }
  const actions = vmActions({ client: looking, clientAs: as, vmis })
  const call = (verb: string, input: JsonObject = {}, signal = stop.signal) =>
    actions
      .find(
        ({ subresource, at }) => subresource === verb && (verb === 'pause') === (at.plural !== VirtualMachine.plural),
      )!
      .run({ ...key, input, user: jane, query: {}, dryRun: false, signal })
  const vmNow = async () => (await client.get(VirtualMachine, key))!
  return { client, call, writers, vmNow, gets: () => gets }
}

const domain = { devices: {} }

async function makeVm(client: Client, runStrategy: 'Always' | 'Manual' | 'Halted'): Promise<void> {
  await client.create(VirtualMachine, {
    apiVersion: apiVersionOf(VirtualMachine),
    kind: VirtualMachine.kind,
    metadata: key,
    spec: { runStrategy, template: { spec: { domain } } },
  })
}

async function makeRunningVmi(client: Client): Promise<void> {
  const vmi = { apiVersion: apiVersionOf(VirtualMachineInstance), kind: VirtualMachineInstance.kind, metadata: key }
  await client.create(VirtualMachineInstance, { ...vmi, spec: { domain } })
  await setStatus(client, { phase: 'Running' })
}

async function setStatus(client: Client, status: VirtualMachineInstance['status']): Promise<void> {
  await client.modify(VirtualMachineInstance, key, (one) => ({ ...one, status: { ...one.status, ...status } }), {
    subresource: 'status',
  })
}

const pausedStart = { action: 'Start', data: { paused: 'true' } } as const

const asksForPausedStart = (client: Client) =>
  client.modify(
    VirtualMachine,
    key,
    (vm) => ({ ...vm, status: { ...vm.status, stateChangeRequests: [pausedStart] } }),
    { subresource: 'status' },
  )

test('a power request that another has overtaken is refused, and the other stays', async (t) => {
  const { client, call, vmNow } = await open(t, asksForPausedStart)
  await makeVm(client, 'Manual')
  await assert.rejects(call('start'), { kind: 'Conflict', message: /stop\/start already underway$/ })
  assert.deepEqual((await vmNow()).status?.stateChangeRequests, [pausedStart])
})

test('a verb follows the run strategy that the VM has when it is written', async (t) => {
  const { client, call, vmNow } = await open(t, (one) =>
    one.modify(VirtualMachine, key, (vm) => ({ ...vm, spec: { ...vm.spec, runStrategy: 'Manual' as const } })),
  )
  await makeVm(client, 'Always')
  await makeRunningVmi(client)
  await call('stop')
  const { spec, status } = await vmNow()
  assert.deepEqual([spec.runStrategy, status?.stateChangeRequests?.map(({ action }) => action)], ['Manual', ['Stop']])
})

test('what a verb writes for a user is written in the name of that user', async (t) => {
  const { client, call, writers } = await open(t)
  await makeVm(client, 'Halted')
  await makeRunningVmi(client)
  await call('migrate')
  await setStatus(client, { phase: 'Succeeded' })
  writers.splice(0, 1)
  await call('start')
  assert.deepEqual(writers, ['VirtualMachineInstanceMigration jane', 'VirtualMachine jane'])
})

test('a verb waits for the agent without asking again and again, and is done when it has answered', async (t) => {
  const { client, call, gets } = await open(t)
  await makeRunningVmi(client)
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const done = call('pause')
  for (let i = 0; i < 50; i++) {
    await new Promise((resolve) => setImmediate(resolve))
    t.mock.timers.tick(100)
  }
  assert.ok(gets() <= 3, `it has asked ${gets()} times`)
  await setStatus(client, { conditions: [{ type: 'Paused', status: 'True' }] })
  assert.equal((await done).code, 200)
})

test('a verb that waits for the agent ends when its client leaves', async (t) => {
  const { client, call } = await open(t)
  await makeRunningVmi(client)
  const left = new AbortController()
  const done = call('pause', {}, left.signal)
  left.abort()
  await assert.rejects(done, (error) => error instanceof Fault && error.kind === 'Aborted')
})

test('a verb is done as well when the instance goes meanwhile', async (t) => {
  const { client, call } = await open(t)
  await makeRunningVmi(client)
  const done = call('pause')
  await client.delete(VirtualMachineInstance, key)
  assert.equal((await done).code, 200)
})
